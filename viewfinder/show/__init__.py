"""Pictures of data: contact sheets, and charts of what there is and what is missing."""
