//! Values that are parsed once at the edge and cannot be wrong afterwards: addresses, ids, keys, tokens, money, dates and windows.

pub mod address;
pub mod format;
pub mod id;
pub mod key;
pub mod money;
pub mod term;
pub mod token;
pub mod window;
