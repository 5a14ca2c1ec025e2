//! Values that are parsed once at the edge and cannot be wrong afterwards: addresses, ids, keys,
//! tokens, money, dates and windows.

/// A `Debug` form that shows nothing, since it ends up in logs, which hold no secret and no address
/// in the clear.
macro_rules! masked {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
pub(crate) use masked;

/// The text of what is a text inside.
macro_rules! as_str {
    ($($name:ident),*) => {$(
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )*};
}

pub mod address;
pub mod format;
pub mod id;
pub mod key;
pub mod money;
pub mod partition;
pub mod term;
pub mod token;
pub mod window;
