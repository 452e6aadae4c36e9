"""Data sets: named ones, files, folders and arrays, split into training, validation and test."""
