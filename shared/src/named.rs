//! Enums of which each value has a name, or a name and words for people. They stand beside the
//! value, so that none is without. Each is as small as a number, and copied and compared like one.

#[macro_export]
macro_rules! named {
    ($(#[$meta:meta])* $vis:vis enum $enum:ident: $name:ident { $($(#[$doc:meta])* $value:ident = $is:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $enum {
            $($(#[$doc])* $value,)*
        }

        impl $enum {
            $vis const ALL: [$enum; [$($is),*].len()] = [$($enum::$value),*];

            $vis const fn $name(self) -> &'static str {
                match self {
                    $($enum::$value => $is,)*
                }
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis enum $enum:ident: $name:ident, $words:ident {
        $($(#[$doc:meta])* $value:ident = $is:literal, $reads:expr;)*
    }) => {
        $crate::named! { $(#[$meta])* $vis enum $enum: $name { $($(#[$doc])* $value = $is,)* } }

        impl $enum {
            $vis const fn $words(self) -> &'static str {
                match self {
                    $($enum::$value => $reads,)*
                }
            }
        }
    };
}
