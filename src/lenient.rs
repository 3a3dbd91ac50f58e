//! Reading JSON that may change under us: a field of the wrong type is a missing field, an item that is no
//! object is counted and passed over, and an unknown field costs nothing.
//!
//! Sources describe the objects of their upstream with [`FromFields`]; the rest is written once, here.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Most items of one list. The largest list on a real page has 539; a body at its size limit could hold
/// millions of empty ones.
const ITEM_LIMIT: usize = 100_000;

/// An object of an upstream, filled field by field; of a name that stands there twice the last one counts.
pub trait FromFields: Default {
    /// Takes the value of `key` out of `map` and answers true, or leaves it there and answers false.
    ///
    /// # Errors
    /// Only those of the JSON itself.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// An object, or none where something else stood.
#[derive(Debug)]
pub struct Item<T>(pub Option<T>);

/// The items of a list, or none where no list stood.
#[derive(Debug)]
pub struct List<T>(pub Option<Vec<Item<T>>>);

/// A text, or none where something else stood.
#[derive(Debug)]
pub struct Text(pub Option<String>);

/// A finite number, also one that stands there as a text, or none where something else stood.
#[derive(Debug)]
pub struct Numeral(pub Option<f64>);

/// The items of a list of texts, or none where no list stood. An item is none where it is no text.
#[derive(Debug)]
pub struct Texts(pub Option<Vec<Text>>);

/// Whether `true` stood there.
#[derive(Debug)]
pub struct Flag(pub bool);

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
}

/// The name of a field, borrowed from the JSON where it has no escapes.
struct Key<'de>(Cow<'de, str>);

/// What a visitor does with everything it does not want: read to its end and forget it.
macro_rules! forget_the_rest {
    ($nothing:expr, $($kind:ident)*) => { $(forget_the_rest!(@ $kind $nothing);)* };
    (@ scalars $nothing:expr) => {
        forget_the_rest!(@ no_number $nothing);
        forget_the_rest!(@ numbers $nothing);
    };
    (@ no_number $nothing:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> { Ok($nothing) }
        forget_the_rest!(@ null $nothing);
    };
    (@ null $nothing:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($nothing) }
    };
    (@ numbers $nothing:expr) => {
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> { Ok($nothing) }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> { Ok($nothing) }
    };
    (@ text $nothing:expr) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> { Ok($nothing) }
    };
    (@ list $nothing:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
    (@ object $nothing:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

impl<'de, T: FromFields> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor<T>(PhantomData<T>);
        impl<'de, T: FromFields> Visitor<'de> for ItemVisitor<T> {
            type Value = Item<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                read_fields(map).map(|object| Item(Some(object)))
            }

            forget_the_rest!(Item(None), scalars text list);
        }
        deserializer.deserialize_any(ItemVisitor(PhantomData))
    }
}

impl<'de, T: FromFields> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: FromFields> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    push_bounded(&mut items, item)?;
                }
                Ok(List(Some(items)))
            }

            forget_the_rest!(List(None), scalars text object);
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            forget_the_rest!(Text(None), scalars list object);
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Numeral {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumeralVisitor;
        impl<'de> Visitor<'de> for NumeralVisitor {
            type Value = Numeral;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Numeral, E> {
                Ok(Numeral(Some(number as f64)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Numeral, E> {
                Ok(Numeral(Some(number as f64)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Numeral, E> {
                Ok(Numeral(Some(number).filter(|number| number.is_finite())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Numeral, E> {
                let number = text.trim().parse::<f64>().ok();
                Ok(Numeral(number.filter(|number| number.is_finite())))
            }

            forget_the_rest!(Numeral(None), no_number list object);
        }
        deserializer.deserialize_any(NumeralVisitor)
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    push_bounded(&mut items, item)?;
                }
                Ok(Texts(Some(items)))
            }

            forget_the_rest!(Texts(None), scalars text object);
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl<'de> Visitor<'de> for FlagVisitor {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            forget_the_rest!(Flag(false), numbers null text list object);
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}

/// Adds an item to a list, up to the limit.
fn push_bounded<T, E: serde::de::Error>(items: &mut Vec<T>, item: T) -> Result<(), E> {
    if items.len() == ITEM_LIMIT {
        return Err(E::custom(format_args!(
            "a list of more than {ITEM_LIMIT} items"
        )));
    }
    items.push(item);
    Ok(())
}

/// An object and every kind of scalar as an [`Element`].
macro_rules! take_elements {
    ($wrap:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            read_fields(map).map(|object| $wrap(Element::Object(object)))
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok($wrap(Element::Text(text.to_owned())))
        }

        fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
            Ok($wrap(Element::Text(flag.to_string())))
        }

        fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
            Ok($wrap(Element::Text(number.to_string())))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
            Ok($wrap(Element::Text(number.to_string())))
        }

        fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
            Ok($wrap(Element::Text(number.to_string())))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($wrap(Element::Nothing))
        }
    };
}

impl<'de, T: FromFields> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor<T>(PhantomData<T>);
        impl<'de, T: FromFields> Visitor<'de> for ElementVisitor<T> {
            type Value = Element<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            take_elements!(std::convert::identity);
            forget_the_rest!(Element::Nothing, list);
        }
        deserializer.deserialize_any(ElementVisitor(PhantomData))
    }
}

impl<'de, T: FromFields> Deserialize<'de> for Elements<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementsVisitor<T>(PhantomData<T>);
        impl<'de, T: FromFields> Visitor<'de> for ElementsVisitor<T> {
            type Value = Elements<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    if let Some(element) = something(element) {
                        push_bounded(&mut elements, element)?;
                    }
                }
                Ok(Elements(elements))
            }

            take_elements!(|element| Elements(Vec::from_iter(something(element))));
        }
        deserializer.deserialize_any(ElementsVisitor(PhantomData))
    }
}

/// An object from its fields, the unknown ones passed over.
fn read_fields<'de, T: FromFields, A: MapAccess<'de>>(mut map: A) -> Result<T, A::Error> {
    let mut object = T::default();
    while let Some(Key(key)) = map.next_key()? {
        if !object.take(&key, &mut map)? {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(object)
}

/// An element, unless it is `null` or an empty text.
fn something<T>(element: Element<T>) -> Option<Element<T>> {
    match element {
        Element::Nothing => None,
        Element::Text(text) if text.is_empty() => None,
        element => Some(element),
    }
}

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

    impl FromFields for Thing {
        fn take<'de, A: MapAccess<'de>>(
            &mut self,
            key: &str,
            map: &mut A,
        ) -> Result<bool, A::Error> {
            match key {
                "name" => self.name = map.next_value::<Text>()?.0,
                "on" => self.is_on = map.next_value::<Flag>()?.0,
                _ => return Ok(false),
            }
            Ok(true)
        }
    }

    fn check(json: &str, expected: Option<Thing>) {
        let Item(read) = serde_json::from_str::<Item<Thing>>(json).expect("valid JSON");
        assert_eq!(read, expected, "{json}");
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
        let List(items) =
            serde_json::from_str::<List<Thing>>(r#"[{"name": "a"}, 7, {"name": "b"}]"#)
                .expect("valid");
        let names: Vec<_> = items
            .into_iter()
            .flatten()
            .map(|Item(item)| item.and_then(|thing| thing.name))
            .collect();
        assert_eq!(names, [Some("a".to_owned()), None, Some("b".to_owned())]);
    }

    fn check_number(json: &str, expected: Option<f64>) {
        let Numeral(read) = serde_json::from_str(json).expect("valid JSON");
        assert_eq!(read, expected, "{json}");
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
        let Texts(texts) = serde_json::from_str(r#"["a", 1, null, "b"]"#).expect("valid JSON");
        let texts: Vec<_> = texts.into_iter().flatten().map(|Text(text)| text).collect();
        assert_eq!(texts, [Some("a".into()), None, None, Some("b".into())]);
        let Texts(none) = serde_json::from_str("\"a\"").expect("valid JSON");
        assert!(none.is_none());
    }

    fn check_elements(json: &str, expected: &[Element<Thing>]) {
        let Elements(read) = serde_json::from_str(json).expect("valid JSON");
        assert_eq!(read, expected, "{json}");
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
        assert!(serde_json::from_str::<List<Thing>>(&json).is_err());
        let elements = format!("[{}1]", "1,".repeat(ITEM_LIMIT));
        assert!(serde_json::from_str::<Elements<Thing>>(&elements).is_err());
    }
}
