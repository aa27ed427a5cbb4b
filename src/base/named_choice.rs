//! Choices that have a name each, on the command line and in files.

/// An enum whose variants are written as their names.
macro_rules! named_choice {
    ($(#[$doc:meta])* $type:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $name)] $variant),+
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $($type::$variant => $name),+ })
            }
        }

        impl std::str::FromStr for $type {
            type Err = crate::error::Error;

            fn from_str(name: &str) -> crate::error::Result<Self> {
                match name {
                    $($name => Ok($type::$variant),)+
                    _ => Err(crate::error::Error::usage(format!(
                        "unknown {} \"{name}\": expected {}", $what, [$($name),+].join(" or ")
                    ))),
                }
            }
        }
    };
}
pub(crate) use named_choice;
