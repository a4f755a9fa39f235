//! From what users write to what the program needs, checked.
