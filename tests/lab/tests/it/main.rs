//! Scenarios with phones in processes of their own: good ones hold, and one that does what no phone does is found out.

#[cfg(test)]
mod phones;
