"""What the actors say to each other, one file per conversation; no behaviour."""
