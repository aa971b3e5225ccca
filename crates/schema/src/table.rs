//! The macro that turns a table's field list into its view, its verifier and its owned twin.
//!
//! A field is `name: kind(arguments) @ id;` where `id` is the field's number in the schema and
//! the kind is one of
//!
//! | kind | view | owned |
//! | --- | --- | --- |
//! | `scalar(T = default)` | `T` | `T` |
//! | `string()` | `Option<&str>` | `Option<String>` |
//! | `scalars(T)` | `List<T>` | `Option<Vec<T>>` |
//! | `aligned_bytes()` | `List<u8>` | `Option<Vec<u8>>`, 16-byte aligned |
//! | `strings()` | `List` of strings | `Option<Vec<String>>` |
//! | `table(T, TT)` | `Option<T>` | `Option<Box<TT>>` |
//! | `tables(T, TT)` | `List` of `T` | `Option<Vec<TT>>` |
//! | `union(U, UT)` | `U` | `UT` |
//!
//! A union takes two numbers, its type's (given) and the next.

use std::mem::size_of;

use flatbuffers::{
    FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, Push, PushAlignment, Table,
    TableVerifier, Vector, Verifiable, Verifier, VerifierOptions, WIPOffset,
};

use crate::{MAX_DEPTH, MAX_TABLES, SchemaError};

/// Offset of field `id` in a vtable: two `u16` of header, then one `u16` per field.
pub(crate) const fn slot(id: u16) -> u16 {
    4 + 2 * id
}

/// Verifies a whole flatbuffer of the given identifier and returns its root table.
pub(crate) fn read_root<'a, T>(
    bytes: &'a [u8],
    format: &'static str,
    identifier: &'static str,
) -> Result<T::Inner, SchemaError>
where
    T: Follow<'a> + Verifiable + 'a,
{
    const HEADER: usize = 8;
    let Some(found) = bytes.get(4..HEADER) else {
        return Err(SchemaError::TooShort { expected: HEADER, found: bytes.len() });
    };
    if found != identifier.as_bytes() {
        let mut wrong = [0; 4];
        wrong.copy_from_slice(found);
        return Err(SchemaError::WrongIdentifier { expected: identifier, found: wrong });
    }
    let options = VerifierOptions {
        max_depth: MAX_DEPTH,
        max_tables: MAX_TABLES,
        // Tables may share vtables and strings, so a sound file reaches somewhat more than its
        // size; one that refers to the same bytes again and again is made to exhaust memory.
        max_apparent_size: bytes.len().saturating_mul(4).saturating_add(1 << 20),
        ..VerifierOptions::default()
    };
    flatbuffers::root_with_opts::<T>(&options, bytes)
        .map_err(|source| SchemaError::Malformed { format, source })
}

/// Verifies a union whose two fields are at `slot` and the one after it.
///
/// A union with only one of the two is read as absent, as the C++ reader does.
pub(crate) fn visit_union<'ver, 'opts, 'buf>(
    mut table: TableVerifier<'ver, 'opts, 'buf>,
    slot: u16,
    verify: impl FnOnce(u8, &mut Verifier<'_, '_>, usize) -> Result<(), InvalidFlatbuffer>,
) -> Result<TableVerifier<'ver, 'opts, 'buf>, InvalidFlatbuffer> {
    if let Some(key) = table.deref(slot)? {
        // The type is read even where the value is absent, so it is always checked.
        let key = table.verifier().get_u8(key)?;
        if let Some(value) = table.deref(slot + 2)? {
            verify(key, table.verifier(), value)?;
        }
    }
    Ok(table)
}

/// Sixteen bytes that a builder places at a multiple of sixteen.
struct Chunk([u8; 16]);

impl Push for Chunk {
    type Output = Self;

    unsafe fn push(&self, dst: &mut [u8], _written_len: usize) {
        dst[..size_of::<Self>()].copy_from_slice(&self.0);
    }

    fn alignment() -> PushAlignment {
        PushAlignment::new(16)
    }
}

/// Writes a byte vector whose first byte lies at a multiple of 16 in the finished buffer, as
/// TensorFlow Lite wants its constant data.
pub(crate) fn create_aligned_bytes<'b>(
    builder: &mut FlatBufferBuilder<'b>,
    bytes: &[u8],
) -> WIPOffset<Vector<'b, u8>> {
    let chunks = bytes.chunks(size_of::<Chunk>());
    builder.start_vector::<Chunk>(chunks.len());
    // A builder writes from the end to the front.
    for part in chunks.rev() {
        let mut chunk = Chunk([0; 16]);
        chunk.0[..part.len()].copy_from_slice(part);
        builder.push(chunk);
    }
    builder.end_vector::<u8>(bytes.len())
}

/// Finishes a buffer with the given root and identifier.
pub(crate) fn finish<'b, T>(
    mut builder: FlatBufferBuilder<'b>,
    root: WIPOffset<T>,
    identifier: &str,
) -> Vec<u8> {
    builder.finish(root, Some(identifier));
    let (bytes, start) = builder.collapse();
    bytes[start..].to_vec()
}

/// The numbers of a table's fields that are present and not in `read`.
pub(crate) fn unread_fields(table: &Table<'_>, read: &[u16]) -> Vec<u16> {
    let vtable = table.vtable();
    // A vtable may be shorter than its own header.
    let fields = (vtable.num_bytes() / size_of::<u16>()).saturating_sub(2);
    let fields = u16::try_from(fields).unwrap_or(u16::MAX);
    (0..fields).filter(|id| vtable.get(slot(*id)) != 0 && !read.contains(id)).collect()
}

/// Runs `visit` with `name` added to the path.
pub(crate) fn within(path: &mut String, name: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(name);
    visit(path);
    path.truncate(length);
}

/// The type that a field's bytes are followed as.
pub(crate) type Strings<'a> = ForwardsUOffset<&'a str>;

/// As [`Strings`], of a vector of strings.
pub(crate) type StringVector<'a> = ForwardsUOffset<Vector<'a, Strings<'a>>>;

macro_rules! tables {
    ($(
        $(#[$doc:meta])*
        table $View:ident, $Owned:ident {
            $( $(#[$field_doc:meta])* $field:ident : $kind:ident $arguments:tt @ $id:literal; )*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $View<'a>(
            flatbuffers::Table<'a>,
        );

        impl<'a> flatbuffers::Follow<'a> for $View<'a> {
            type Inner = Self;

            unsafe fn follow(buf: &'a [u8], loc: usize) -> Self {
                // SAFETY: the caller's promise that a verified table lies at `loc` is ours.
                Self(unsafe { flatbuffers::Table::new(buf, loc) })
            }
        }

        impl flatbuffers::Verifiable for $View<'_> {
            fn run_verifier(
                verifier: &mut flatbuffers::Verifier<'_, '_>,
                pos: usize,
            ) -> Result<(), flatbuffers::InvalidFlatbuffer> {
                let table = verifier.visit_table(pos)?;
                $( let table = verify_field!($kind $arguments, table, stringify!($field), $id); )*
                table.finish();
                Ok(())
            }
        }

        impl<'a> $View<'a> {
            $( read_field!($(#[$field_doc])* $field: $kind $arguments @ $id); )*

            /// Copies the table and everything below it.
            pub fn unpack(&self) -> $Owned {
                $Owned { $( $field: unpack_field!($kind $arguments, self.$field()), )* }
            }

            /// Appends the paths of all values below `path` that [`unpack`](Self::unpack) drops.
            fn collect_unread(
                &self,
                path: &mut String,
                found: &mut Vec<String>,
            ) {
                let read = [$( $id, union_value_id!($kind, $id), )*];
                for id in $crate::table::unread_fields(&self.0, &read) {
                    found.push(format!("{path} field {id}").trim_start().to_owned());
                }
                $( unread_field!($kind $arguments, self, $field, path, found); )*
            }
        }

        impl std::fmt::Debug for $View<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.unpack().fmt(f)
            }
        }

        #[doc = concat!("The owned twin of [`", stringify!($View), "`].")]
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::exhaustive_structs, reason = "built with struct syntax and a default")]
        pub struct $Owned {
            $( $(#[$field_doc])* pub $field: owned_type!($kind $arguments), )*
        }

        impl Default for $Owned {
            fn default() -> Self {
                Self { $( $field: default_value!($kind $arguments), )* }
            }
        }

        impl $Owned {
            /// Writes the table, after everything below it, and returns where it lies.
            pub fn pack<'b>(
                &self,
                builder: &mut flatbuffers::FlatBufferBuilder<'b>,
            ) -> flatbuffers::WIPOffset<$View<'b>> {
                $( let $field = pack_field!($kind $arguments, builder, &self.$field); )*
                let start = builder.start_table();
                $( push_field!($kind $arguments, builder, $id, $field); )*
                let end = builder.end_table(start);
                flatbuffers::WIPOffset::new(end.value())
            }
        }
    )*};
}

macro_rules! unions {
    ($(
        $(#[$doc:meta])*
        union $View:ident, $Owned:ident { $( $Variant:ident, $VariantOwned:ident = $code:literal; )* }
    )*) => {$(
        $(#[$doc])*
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug)]
        pub enum $View<'a> {
            /// No value.
            None,
            $( #[doc = concat!("A [`", stringify!($Variant), "`].")] $Variant($Variant<'a>), )*
            /// A value of a type that this crate does not read.
            Other(u8),
        }

        impl<'a> $View<'a> {
            fn verify(
                key: u8,
                verifier: &mut flatbuffers::Verifier<'_, '_>,
                pos: usize,
            ) -> Result<(), flatbuffers::InvalidFlatbuffer> {
                match key {
                    $( $code => verifier
                        .verify_union_variant::<flatbuffers::ForwardsUOffset<$Variant<'_>>>(
                            stringify!($Variant), pos,
                        ), )*
                    _ => Ok(()),
                }
            }

            fn read(table: &flatbuffers::Table<'a>, slot: u16) -> Self {
                // SAFETY: the verifier has visited both fields of the union with these types.
                let key = unsafe { table.get::<u8>(slot, Some(0)) }.unwrap_or(0);
                match key {
                    0 => Self::None,
                    $( $code => {
                        // SAFETY: as above; the key names the variant that was verified.
                        let value = unsafe {
                            table.get::<flatbuffers::ForwardsUOffset<$Variant<'a>>>(slot + 2, None)
                        };
                        value.map_or(Self::None, Self::$Variant)
                    } )*
                    other => Self::Other(other),
                }
            }

            fn collect_unread(&self, path: &mut String, found: &mut Vec<String>) {
                match self {
                    Self::None => {}
                    $( Self::$Variant(value) => value.collect_unread(path, found), )*
                    Self::Other(key) => found.push(format!("{path} of type {key}")),
                }
            }

            /// Copies the value; one of a type that this crate does not read becomes `None`.
            pub fn unpack(&self) -> $Owned {
                match self {
                    $( Self::$Variant(value) => $Owned::$Variant(value.unpack()), )*
                    Self::None | Self::Other(_) => $Owned::None,
                }
            }
        }

        #[doc = concat!("The owned twin of [`", stringify!($View), "`].")]
        #[non_exhaustive]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub enum $Owned {
            /// No value.
            #[default]
            None,
            $( #[doc = concat!("A [`", stringify!($VariantOwned), "`].")] $Variant($VariantOwned), )*
        }

        impl $Owned {
            fn pack(
                &self,
                builder: &mut flatbuffers::FlatBufferBuilder<'_>,
            ) -> Option<(u8, flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>)> {
                match self {
                    Self::None => None,
                    $( Self::$Variant(value) => {
                        Some(($code, value.pack(builder).as_union_value()))
                    } )*
                }
            }
        }
    )*};
}

macro_rules! enumeration {
    (
        $(#[$doc:meta])*
        enum $Name:ident : $raw:ty { $( $(#[$variant_doc:meta])* $Variant:ident = $code:literal, )* }
    ) => {
        $(#[$doc])*
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $Name { $( $(#[$variant_doc])* $Variant = $code, )* }

        impl $Name {
            /// The value of that number, if the schema has one.
            pub const fn from_raw(raw: $raw) -> Option<Self> {
                match raw {
                    $( $code => Some(Self::$Variant), )*
                    _ => None,
                }
            }

            /// The number in the schema.
            pub const fn raw(self) -> $raw {
                self as $raw
            }
        }
    };
}

macro_rules! verify_field {
    (scalar($T:ty = $default:expr), $table:ident, $name:expr, $id:literal) => {
        $table.visit_field::<$T>($name, $crate::table::slot($id), false)?
    };
    (string(), $table:ident, $name:expr, $id:literal) => {
        $table.visit_field::<$crate::table::Strings<'_>>($name, $crate::table::slot($id), false)?
    };
    (scalars($T:ty), $table:ident, $name:expr, $id:literal) => {
        $table.visit_field::<flatbuffers::ForwardsUOffset<flatbuffers::Vector<'_, $T>>>(
            $name,
            $crate::table::slot($id),
            false,
        )?
    };
    (aligned_bytes(), $table:ident, $name:expr, $id:literal) => {
        verify_field!(scalars(u8), $table, $name, $id)
    };
    (strings(), $table:ident, $name:expr, $id:literal) => {
        $table.visit_field::<$crate::table::StringVector<'_>>(
            $name,
            $crate::table::slot($id),
            false,
        )?
    };
    (table($T:ident, $O:ident), $table:ident, $name:expr, $id:literal) => {
        $table.visit_field::<flatbuffers::ForwardsUOffset<$T<'_>>>(
            $name,
            $crate::table::slot($id),
            false,
        )?
    };
    (tables($T:ident, $O:ident), $table:ident, $name:expr, $id:literal) => {
        $table.visit_field::<flatbuffers::ForwardsUOffset<
            flatbuffers::Vector<'_, flatbuffers::ForwardsUOffset<$T<'_>>>,
        >>($name, $crate::table::slot($id), false)?
    };
    (union($U:ident, $O:ident), $table:ident, $name:expr, $id:literal) => {
        $crate::table::visit_union($table, $crate::table::slot($id), $U::verify)?
    };
}

/// The body of a getter: follows a field as the type that the verifier has visited it as.
macro_rules! follow {
    ($self:ident, $T:ty, $id:literal, $default:expr) => {{
        // SAFETY: a view exists only over a verified buffer, and `verify_field!` visits this
        // field as the same type.
        unsafe { $self.0.get::<$T>($crate::table::slot($id), $default) }
    }};
}

macro_rules! read_field {
    ($(#[$doc:meta])* $field:ident: scalar($T:ty = $default:expr) @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> $T {
            follow!(self, $T, $id, None).unwrap_or($default)
        }
    };
    ($(#[$doc:meta])* $field:ident: string() @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> Option<&'a str> {
            follow!(self, $crate::table::Strings<'a>, $id, None)
        }
    };
    ($(#[$doc:meta])* $field:ident: scalars($T:ty) @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> $crate::List<'a, $T> {
            $crate::List::new(follow!(
                self, flatbuffers::ForwardsUOffset<flatbuffers::Vector<'a, $T>>, $id, None
            ))
        }
    };
    ($(#[$doc:meta])* $field:ident: aligned_bytes() @ $id:literal) => {
        read_field!($(#[$doc])* $field: scalars(u8) @ $id);
    };
    ($(#[$doc:meta])* $field:ident: strings() @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> $crate::List<'a, flatbuffers::ForwardsUOffset<&'a str>> {
            $crate::List::new(follow!(
                self,
                $crate::table::StringVector<'a>,
                $id,
                None
            ))
        }
    };
    ($(#[$doc:meta])* $field:ident: table($T:ident, $O:ident) @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> Option<$T<'a>> {
            follow!(self, flatbuffers::ForwardsUOffset<$T<'a>>, $id, None)
        }
    };
    ($(#[$doc:meta])* $field:ident: tables($T:ident, $O:ident) @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> $crate::List<'a, flatbuffers::ForwardsUOffset<$T<'a>>> {
            $crate::List::new(follow!(
                self,
                flatbuffers::ForwardsUOffset<
                    flatbuffers::Vector<'a, flatbuffers::ForwardsUOffset<$T<'a>>>,
                >,
                $id,
                None
            ))
        }
    };
    ($(#[$doc:meta])* $field:ident: union($U:ident, $O:ident) @ $id:literal) => {
        $(#[$doc])*
        pub fn $field(&self) -> $U<'a> {
            $U::read(&self.0, $crate::table::slot($id))
        }
    };
}

macro_rules! owned_type {
    (scalar($T:ty = $default:expr)) => { $T };
    (string()) => { Option<String> };
    (scalars($T:ty)) => { Option<Vec<$T>> };
    (aligned_bytes()) => { Option<Vec<u8>> };
    (strings()) => { Option<Vec<String>> };
    (table($T:ident, $O:ident)) => { Option<Box<$O>> };
    (tables($T:ident, $O:ident)) => { Option<Vec<$O>> };
    (union($U:ident, $O:ident)) => { $O };
}

macro_rules! default_value {
    (scalar($T:ty = $default:expr)) => {
        $default
    };
    ($kind:ident $arguments:tt) => {
        Default::default()
    };
}

macro_rules! unpack_field {
    (scalar $arguments:tt, $value:expr) => {
        $value
    };
    (string(), $value:expr) => {
        $value.map(str::to_owned)
    };
    (scalars($T:ty), $value:expr) => {{
        let list = $value;
        list.is_present().then(|| list.iter().collect())
    }};
    (aligned_bytes(), $value:expr) => {{
        let list = $value;
        list.is_present().then(|| list.bytes().to_vec())
    }};
    (strings(), $value:expr) => {{
        let list = $value;
        list.is_present().then(|| list.iter().map(str::to_owned).collect())
    }};
    (table $arguments:tt, $value:expr) => {
        $value.map(|table| Box::new(table.unpack()))
    };
    (tables $arguments:tt, $value:expr) => {{
        let list = $value;
        list.is_present().then(|| list.iter().map(|table| table.unpack()).collect())
    }};
    (union $arguments:tt, $value:expr) => {
        $value.unpack()
    };
}

/// The number of a union's value, which follows its type's; for other fields their own.
macro_rules! union_value_id {
    (union, $id:literal) => {
        $id + 1
    };
    ($kind:ident, $id:literal) => {
        $id
    };
}

/// Looks for values that are not read in the tables below a field.
macro_rules! unread_field {
    (table $arguments:tt, $self:ident, $field:ident, $path:ident, $found:ident) => {
        if let Some(table) = $self.$field() {
            $crate::table::within($path, stringify!($field), |path| {
                table.collect_unread(path, $found);
            });
        }
    };
    (tables $arguments:tt, $self:ident, $field:ident, $path:ident, $found:ident) => {
        for (index, table) in $self.$field().iter().enumerate() {
            let name = format!("{}[{index}]", stringify!($field));
            $crate::table::within($path, &name, |path| table.collect_unread(path, $found));
        }
    };
    (union $arguments:tt, $self:ident, $field:ident, $path:ident, $found:ident) => {
        $crate::table::within($path, stringify!($field), |path| {
            $self.$field().collect_unread(path, $found);
        });
    };
    ($kind:ident $arguments:tt, $self:ident, $field:ident, $path:ident, $found:ident) => {};
}

macro_rules! pack_field {
    (scalar $arguments:tt, $builder:ident, $value:expr) => {
        *$value
    };
    (string(), $builder:ident, $value:expr) => {
        $value.as_deref().map(|text| $builder.create_string(text))
    };
    (scalars $arguments:tt, $builder:ident, $value:expr) => {
        $value.as_deref().map(|elements| $builder.create_vector(elements))
    };
    (aligned_bytes(), $builder:ident, $value:expr) => {
        $value.as_deref().map(|bytes| $crate::table::create_aligned_bytes($builder, bytes))
    };
    (strings(), $builder:ident, $value:expr) => {
        $value.as_deref().map(|texts| {
            let offsets: Vec<_> = texts.iter().map(|text| $builder.create_string(text)).collect();
            $builder.create_vector(&offsets)
        })
    };
    (table $arguments:tt, $builder:ident, $value:expr) => {
        $value.as_deref().map(|table| table.pack($builder))
    };
    (tables $arguments:tt, $builder:ident, $value:expr) => {
        $value.as_deref().map(|tables| {
            let offsets: Vec<_> = tables.iter().map(|table| table.pack($builder)).collect();
            $builder.create_vector(&offsets)
        })
    };
    (union $arguments:tt, $builder:ident, $value:expr) => {
        $value.pack($builder)
    };
}

macro_rules! push_field {
    (scalar($T:ty = $default:expr), $builder:ident, $id:literal, $value:ident) => {
        $builder.push_slot::<$T>($crate::table::slot($id), $value, $default)
    };
    (union $arguments:tt, $builder:ident, $id:literal, $value:ident) => {
        if let Some((key, offset)) = $value {
            $builder.push_slot_always($crate::table::slot($id), key);
            $builder.push_slot_always($crate::table::slot($id) + 2, offset);
        }
    };
    ($kind:ident $arguments:tt, $builder:ident, $id:literal, $value:ident) => {
        if let Some(offset) = $value {
            $builder.push_slot_always($crate::table::slot($id), offset);
        }
    };
}
