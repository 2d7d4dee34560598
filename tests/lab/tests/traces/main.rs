//! The traces that a scenario leaves in the logs. In a process of its own: `tracing` remembers whether anybody listens by the
//! thread that comes first, which may be another test's.

#[cfg(test)]
mod followed;
