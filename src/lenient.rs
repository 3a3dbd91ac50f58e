//! Reading JSON that may change under us: a field of the wrong type is a missing field, an item that is no
//! object is counted and passed over, and an unknown field costs nothing.
//!
//! Sources describe the objects of their upstream with [`FromFields`], out of fields that are [`Fill`]: `Option<String>`
//! takes a text, `Option<f64>` a number, `bool` whether `true` stood there, `Option` of an object that object, `Vec` a
//! list. The reader itself knows no type, so that each costs a few bytes of code and not a parser of its own.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Most items of one list. The largest list on a real page has 539; a body at its size limit could hold
/// millions of empty ones.
const ITEM_LIMIT: usize = 100_000;

/// An object of an upstream, filled field by field; of a name that stands there twice the last one counts.
pub trait FromFields {
    /// The place of the field `name`; none passes its value over.
    fn field(&mut self, name: &str) -> Option<&mut dyn Fill>;
}

/// A place for one value. Whatever comes replaces what stood there before.
pub trait Fill {
    /// The value is `null`, or nothing that this place takes.
    fn nothing(&mut self);

    /// The value is a text, a number, `true` or `false`.
    fn scalar(&mut self, _: Scalar<'_>) {
        self.nothing();
    }

    /// The value is an object; gives what takes its fields, if this place takes objects.
    fn object(&mut self) -> Option<&mut dyn FromFields> {
        self.nothing();
        None
    }

    /// The value is a list; answers whether this place takes lists.
    fn list(&mut self) -> bool {
        self.nothing();
        false
    }

    /// The place of the next item of the list.
    fn item(&mut self) -> Option<&mut dyn Fill> {
        None
    }

    /// The list is at its end.
    fn end(&mut self) {}
}

/// A value without parts.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'a> {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number below zero.
    Signed(i64),
    /// Any other whole number.
    Unsigned(u64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A text.
    Text(&'a str),
}

/// A text as it is; a number, `true` or `false` as it is written; none where something else stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(pub Option<String>);

/// Whether a value stood there that is not `null`; none where the field is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence(pub Option<bool>);

/// One value of an upstream that writes numbers as texts and texts as numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element<T> {
    /// `null`, or a list where one value was expected.
    Nothing,
    /// A text as it is; a number, `true` or `false` as it is written.
    Text(String),
    /// An object.
    Object(T),
}

/// The elements of a list, or the one that stands there without a list around it. `null` and `""` are no element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements<T>(pub Vec<Element<T>>);

impl<T> Default for Elements<T> {
    fn default() -> Self {
        Elements(Vec::new())
    }
}

impl<T> Elements<T> {
    /// The elements that are objects.
    pub fn into_objects(self) -> impl Iterator<Item = T> {
        self.0.into_iter().filter_map(|element| match element {
            Element::Object(object) => Some(object),
            _ => None,
        })
    }

    /// The first element that is an object.
    pub fn first_object(&self) -> Option<&T> {
        self.0.iter().find_map(|element| match element {
            Element::Object(object) => Some(object),
            _ => None,
        })
    }
}

/// Reads one JSON value into its place.
///
/// # Errors
/// For what is no JSON, and for a list of more than 100,000 items.
pub fn read(json: &[u8], place: &mut dyn Fill) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Place(place).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// Gives an object its fields: `from_fields!(Page { "updated_at" => updated_at })`.
macro_rules! from_fields {
    ($object:ty { $($name:literal => $field:ident),* $(,)? }) => {
        impl $crate::lenient::FromFields for $object {
            fn field(&mut self, name: &str) -> Option<&mut dyn $crate::lenient::Fill> {
                match name {
                    $($name => Some(&mut self.$field),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use from_fields;

impl Fill for Option<String> {
    fn nothing(&mut self) {
        *self = None;
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        *self = match scalar {
            Scalar::Text(text) => Some(text.to_owned()),
            _ => None,
        };
    }
}

/// A finite number, also one that stands there as a text.
impl Fill for Option<f64> {
    fn nothing(&mut self) {
        *self = None;
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        let number = match scalar {
            Scalar::Flag(_) => None,
            Scalar::Signed(number) => Some(number as f64),
            Scalar::Unsigned(number) => Some(number as f64),
            Scalar::Float(number) => Some(number),
            Scalar::Text(text) => text.trim().parse().ok(),
        };
        *self = number.filter(|number| number.is_finite());
    }
}

impl Fill for bool {
    fn nothing(&mut self) {
        *self = false;
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        *self = matches!(scalar, Scalar::Flag(true));
    }
}

impl Fill for Word {
    fn nothing(&mut self) {
        self.0 = None;
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        self.0 = Some(scalar.into_text());
    }
}

impl Fill for Presence {
    fn nothing(&mut self) {
        self.0 = Some(false);
    }

    fn scalar(&mut self, _: Scalar<'_>) {
        self.0 = Some(true);
    }

    fn object(&mut self) -> Option<&mut dyn FromFields> {
        self.0 = Some(true);
        None
    }

    fn list(&mut self) -> bool {
        self.0 = Some(true);
        false
    }
}

impl<T: FromFields + Default> Fill for Option<T> {
    fn nothing(&mut self) {
        *self = None;
    }

    fn object(&mut self) -> Option<&mut dyn FromFields> {
        Some(self.insert(T::default()))
    }
}

/// Empty where no list stood.
impl<T: Fill + Default> Fill for Vec<T> {
    fn nothing(&mut self) {
        self.clear();
    }

    fn list(&mut self) -> bool {
        self.clear();
        true
    }

    fn item(&mut self) -> Option<&mut dyn Fill> {
        self.push(T::default());
        self.last_mut().map(|item| item as &mut dyn Fill)
    }
}

/// None where no list stood.
impl<T: Fill + Default> Fill for Option<Vec<T>> {
    fn nothing(&mut self) {
        *self = None;
    }

    fn list(&mut self) -> bool {
        *self = Some(Vec::new());
        true
    }

    fn item(&mut self) -> Option<&mut dyn Fill> {
        self.as_mut()?.item()
    }
}

impl<T: FromFields + Default> Fill for Element<T> {
    fn nothing(&mut self) {
        *self = Element::Nothing;
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        *self = Element::Text(scalar.into_text());
    }

    fn object(&mut self) -> Option<&mut dyn FromFields> {
        *self = Element::Object(T::default());
        match self {
            Element::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl<T: FromFields + Default> Elements<T> {
    fn push(&mut self) -> Option<&mut Element<T>> {
        self.0.push(Element::Nothing);
        self.0.last_mut()
    }

    /// Drops what is no element.
    fn tidy(&mut self) {
        self.0.retain(|element| match element {
            Element::Nothing => false,
            Element::Text(text) => !text.is_empty(),
            Element::Object(_) => true,
        });
    }
}

impl<T: FromFields + Default> Fill for Elements<T> {
    fn nothing(&mut self) {
        self.0.clear();
    }

    fn scalar(&mut self, scalar: Scalar<'_>) {
        self.0 = vec![Element::Text(scalar.into_text())];
        self.tidy();
    }

    fn object(&mut self) -> Option<&mut dyn FromFields> {
        self.0.clear();
        self.push()?.object()
    }

    fn list(&mut self) -> bool {
        self.0.clear();
        true
    }

    fn item(&mut self) -> Option<&mut dyn Fill> {
        self.push().map(|element| element as &mut dyn Fill)
    }

    fn end(&mut self) {
        self.tidy();
    }
}

impl Scalar<'_> {
    fn into_text(self) -> String {
        match self {
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Signed(number) => number.to_string(),
            Scalar::Unsigned(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Text(text) => text.to_owned(),
        }
    }
}

/// Reads one value into a place.
struct Place<'a>(&'a mut dyn Fill);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Place<'_> {
    fn take<E>(self, scalar: Scalar<'_>) -> Result<(), E> {
        self.0.scalar(scalar);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.nothing();
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.take(Scalar::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.take(Scalar::Signed(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.take(Scalar::Unsigned(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.take(Scalar::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.take(Scalar::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.0.list() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut count = 0;
        while list.next_element_seed(NextItem(self.0))?.is_some() {
            count += 1;
            if count > ITEM_LIMIT {
                return Err(A::Error::custom(format_args!(
                    "a list of more than {ITEM_LIMIT} items"
                )));
            }
        }
        self.0.end();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(object) = self.0.object() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while let Some(Key(key)) = map.next_key()? {
            match object.field(&key) {
                Some(place) => map.next_value_seed(Place(place))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads the next item of a list, if there is one; only then is a place made for it.
struct NextItem<'a>(&'a mut dyn Fill);

impl<'de> DeserializeSeed<'de> for NextItem<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.item() {
            Some(place) => Place(place).deserialize(deserializer),
            None => IgnoredAny::deserialize(deserializer).map(drop),
        }
    }
}

/// The name of a field, borrowed from the JSON where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Thing {
        name: Option<String>,
        is_on: bool,
    }

    from_fields!(Thing { "name" => name, "on" => is_on });

    fn read<T: Fill + Default>(json: &str) -> T {
        let mut place = T::default();
        super::read(json.as_bytes(), &mut place).expect("valid JSON");
        place
    }

    fn check(json: &str, expected: Option<Thing>) {
        assert_eq!(read::<Option<Thing>>(json), expected, "{json}");
    }

    fn thing(name: Option<&str>, is_on: bool) -> Option<Thing> {
        Some(Thing {
            name: name.map(str::to_owned),
            is_on,
        })
    }

    #[test]
    fn a_field_of_the_wrong_type_is_a_missing_field() {
        check(r#"{"name": "a", "on": true}"#, thing(Some("a"), true));
        check(r#"{"name": 1, "on": "true"}"#, thing(None, false));
        check(
            r#"{"name": {"x": [1, {}]}, "on": [[]], "other": {"deep": [null]}}"#,
            thing(None, false),
        );
        check(r#"{"name": null, "on": -1.5}"#, thing(None, false));
        check(
            r#"{"name": "a", "name": "b", "na\u006de": "c"}"#,
            thing(Some("c"), false),
        );
    }

    #[test]
    fn what_is_no_object_is_no_item() {
        for json in [
            "null",
            "1",
            "-1",
            "1.5",
            "true",
            "\"x\"",
            "[{\"name\": \"a\"}]",
        ] {
            check(json, None);
        }
    }

    #[test]
    fn one_malformed_item_never_costs_the_others() {
        let items: Vec<Option<Thing>> = read(r#"[{"name": "a"}, 7, {"name": "b"}]"#);
        let names: Vec<_> = items
            .into_iter()
            .map(|item| item.and_then(|thing| thing.name))
            .collect();
        assert_eq!(names, [Some("a".to_owned()), None, Some("b".to_owned())]);
    }

    fn check_number(json: &str, expected: Option<f64>) {
        assert_eq!(read::<Option<f64>>(json), expected, "{json}");
    }

    #[test]
    fn a_number_may_stand_there_as_a_text() {
        check_number("7", Some(7.0));
        check_number("-1.5", Some(-1.5));
        check_number("\" 187000000000 \"", Some(187_000_000_000.0));
        check_number("\"NaN\"", None);
        check_number("\"inf\"", None);
        check_number("\"many\"", None);
        for json in ["null", "true", "[1]", "{\"x\": 1}"] {
            check_number(json, None);
        }
    }

    #[test]
    fn a_text_in_a_list_that_is_none_costs_no_other() {
        let texts: Vec<Option<String>> = read(r#"["a", 1, null, "b"]"#);
        assert_eq!(texts, [Some("a".into()), None, None, Some("b".into())]);
        assert_eq!(read::<Option<Vec<Option<String>>>>("\"a\""), None);
    }

    fn check_elements(json: &str, expected: &[Element<Thing>]) {
        assert_eq!(read::<Elements<Thing>>(json).0, expected, "{json}");
    }

    #[test]
    fn one_element_counts_like_a_list_of_one_and_scalars_are_texts() {
        let text = |text: &str| Element::Text(text.to_owned());
        let object = Element::Object(thing(Some("a"), false).expect("a thing"));
        check_elements(r#"[{"name": "a"}]"#, std::slice::from_ref(&object));
        check_elements(r#"{"name": "a"}"#, &[object]);
        check_elements("\"x\"", &[text("x")]);
        check_elements("[1, -2, 1.5, true]", &["1", "-2", "1.5", "true"].map(text));
        for json in ["null", "\"\"", "[]", "[null, \"\", [1]]"] {
            check_elements(json, &[]);
        }
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let json = format!("[{}0]", "0,".repeat(ITEM_LIMIT));
        let mut list: Vec<Option<Thing>> = Vec::new();
        assert!(super::read(json.as_bytes(), &mut list).is_err());
        let elements = format!("[{}1]", "1,".repeat(ITEM_LIMIT));
        let mut place = Elements::<Thing>::default();
        assert!(super::read(elements.as_bytes(), &mut place).is_err());
    }

    #[test]
    fn a_value_that_is_not_null_is_present() {
        assert_eq!(read::<Presence>("null"), Presence(Some(false)));
        for json in ["1", "\"\"", "false", "{\"a\": {}}", "[[1]]"] {
            assert_eq!(read::<Presence>(json), Presence(Some(true)), "{json}");
        }
    }

    #[test]
    fn what_follows_the_value_is_an_error() {
        let mut place = None::<String>;
        assert!(super::read(b"\"a\" 1", &mut place).is_err());
    }
}
