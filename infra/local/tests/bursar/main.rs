//! `bursar` as a process, as its users have it, and the demonstration that it builds.

#[cfg(test)]
mod command;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod demonstration;
#[cfg(test)]
mod process;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod smtp;
