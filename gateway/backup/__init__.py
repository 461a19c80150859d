"""A data folder in one sealed file, and a data folder made of such a file."""
