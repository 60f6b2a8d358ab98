"""Faces that viewfinder draws itself: a person (who), a head in space (where), and paint (what one sees)."""
