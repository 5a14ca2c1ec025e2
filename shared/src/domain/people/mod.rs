//! People who sign in: what they may do, how they prove who they are, and how long that holds.

pub mod role;
pub mod session;
pub mod sign_in;
