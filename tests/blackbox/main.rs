//! Black-box tests of the binary, one crate so that the tree is linked once.
