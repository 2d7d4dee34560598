// The functions that are declared in include/HookswitchFFI.h are in the Rust library. SwiftPM wants a source file in a target.
