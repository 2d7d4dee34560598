//! The promises of the backend, each kept over HTTP as an app or a browser would see it.

#[cfg(test)]
mod app_links;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod login;
#[cfg(test)]
mod logout;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod pushes;
#[cfg(test)]
mod refreshes;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod services;
#[cfg(test)]
mod sso;
#[cfg(test)]
mod support;
#[cfg(test)]
mod surfaces;
#[cfg(test)]
mod tokens;
