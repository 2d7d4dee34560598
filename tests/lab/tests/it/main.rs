//! Scenarios with phones in processes of their own: good ones hold, and one that does what no phone does is found out. And the
//! page's API: what it tells of calls is true, and stays what it was.

#[cfg(test)]
mod page;
#[cfg(test)]
mod phones;
