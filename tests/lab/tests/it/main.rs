//! Scenarios with phones in processes of their own: good ones hold, and one that does what no phone does is found out. And the
//! traces that a scenario leaves in the logs.

#[cfg(test)]
mod phones;
#[cfg(test)]
mod traces;
