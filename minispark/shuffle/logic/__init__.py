"""The pure tables of the shuffle."""
