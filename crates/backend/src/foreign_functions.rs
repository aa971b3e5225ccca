//! Functions of shared libraries, looked up by name.

/// A symbol that a shared library does not export.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "the macro beside it makes it in other crates")]
pub struct MissingSymbol {
    /// The symbol's name.
    pub symbol: &'static str,
    /// The loader's words.
    pub reason: String,
}

/// Declares a struct of C functions with a function `load` that looks all of them up in a library of
/// the crate `libloading`, which the calling crate depends on.
///
/// `load` is unsafe: the caller promises that the symbols have the signatures given here, and calls
/// none of them once the library is closed. Its error is the first [`MissingSymbol`].
///
/// ```text
/// foreign_functions! {
///     /// The functions of `libengine`.
///     Functions {
///         version = "EngineVersion": fn() -> *const c_char;
///         stop = "EngineStop": fn(*mut Engine);
///     }
/// }
/// ```
#[macro_export]
macro_rules! foreign_functions {
    ($(#[$struct_doc:meta])* $name:ident {
        $($field:ident = $symbol:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*
    }) => {
        $(#[$struct_doc])*
        pub(crate) struct $name {
            $(pub(crate) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl $name {
            /// Looks all functions up; the error is of the first symbol that is missing.
            ///
            /// # Safety
            ///
            /// The symbols of `library` must have the signatures given here. The functions may not
            /// be called after it is closed.
            pub(crate) unsafe fn load(
                library: &::libloading::Library,
            ) -> ::std::result::Result<Self, $crate::MissingSymbol> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the caller promises that the symbol has this signature.
                        let symbol = unsafe { library.get($symbol) };
                        *symbol.map_err(|error| $crate::MissingSymbol {
                            symbol: $symbol,
                            reason: error.to_string(),
                        })?
                    },)*
                })
            }
        }
    };
}
