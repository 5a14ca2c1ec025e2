//! The black-box tests, in one binary so that they link once: each module is one subject.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod claim;
#[cfg(test)]
mod console;
#[cfg(test)]
mod copies;
#[cfg(test)]
mod demonstration;
#[cfg(test)]
mod digest;
#[cfg(test)]
mod example;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod meddled;
#[cfg(test)]
mod models;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod provider_check;
#[cfg(test)]
mod rehearsal;
#[cfg(test)]
mod restrictions;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod roles;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod store;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod sync;
#[cfg(test)]
mod template;
#[cfg(test)]
mod term;
#[cfg(test)]
mod versions;
#[cfg(test)]
mod watch;
