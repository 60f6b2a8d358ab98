"""What a trained model is worth: numbers, pictures, worst images first."""
