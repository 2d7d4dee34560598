//! The house rules, as tests. A rule that only a document states is broken by the first person in a hurry.
//!
//! | module | what it holds |
//! |---|---|
//! | `crates` | who may depend on whom; what the machine and the contract may depend on at all |
//! | `purity` | the machine is pure: no clock, no randomness, no I/O, no thread, no `async` |
//! | `floors` | a room of the machine uses only the floors below it |
//! | `sizes` | no source file of the core is longer than a person can keep in mind |
//! | `facade` | what apps see of the generated code; nobody goes past the Kotlin and Swift layers |
//! | `documented` | every public declaration of the Kotlin and Swift layers says what it is |
//! | `documents` | what the documents at the root name exists |
//! | `pinned` | versions that are said in more than one place are the same |
//!
//! Each rule has a list of what it lets pass for now, with the reason. An entry that is not needed any more fails, so that
//! the lists only shrink.
//!
//! Not seen by these tests: calls of methods, whose receiver's type only the compiler knows; so `floors` judges by the
//! types, functions and constants that a file names.

#[cfg(test)]
mod crates;
#[cfg(test)]
mod documented;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod facade;
#[cfg(test)]
mod floors;
#[cfg(test)]
mod pinned;
#[cfg(test)]
mod purity;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod sources;
