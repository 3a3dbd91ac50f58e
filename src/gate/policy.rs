//! Which methods are allowed on which paths.
//!
//! What it does: answers "may this method be used here, and if not, which may?". What it leaves to others: whether
//! the path exists (the main loop answers 404). Who calls it: `head`, for each complete head.

/// A method that the gate can let through; any other is answered with 405 whatever the policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Ask for an answer.
    Get,
    /// Ask for its head.
    Head,
    /// Without a body: the gate admits no request that announces one.
    Post,
}

impl Method {
    /// The word of the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }

    /// Methods are case-sensitive (RFC 9110, 9.1).
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Get, Self::Head, Self::Post]
            .into_iter()
            .find(|method| method.as_str() == word)
    }
}

/// The methods allowed on one path. The path is compared byte by byte, without the query.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The path.
    pub path: &'static str,
    /// The methods allowed on it.
    pub methods: &'static [Method],
}

/// GET and HEAD everywhere, except on the paths that have a rule of their own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// Paths with methods of their own.
    pub rules: &'static [Rule],
}

impl Policy {
    /// The methods allowed on `path`, which has no query.
    pub(super) fn methods(&self, path: &str) -> &'static [Method] {
        let rule = self.rules.iter().find(|rule| rule.path == path);
        rule.map_or(&[Method::Get, Method::Head], |rule| rule.methods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        rules: &[Rule {
            path: "/-/reload",
            methods: &[Method::Post],
        }],
    };

    #[test]
    fn get_and_head_are_allowed_where_no_rule_speaks() {
        assert_eq!(POLICY.methods("/metrics"), [Method::Get, Method::Head]);
    }

    #[test]
    fn a_rule_speaks_for_its_path_alone() {
        assert_eq!(POLICY.methods("/-/reload"), [Method::Post]);
        assert_eq!(POLICY.methods("/-/reload/"), [Method::Get, Method::Head]);
    }

    #[test]
    fn methods_are_case_sensitive() {
        assert_eq!(Method::parse("GET"), Some(Method::Get));
        assert_eq!(Method::parse("get"), None);
        assert_eq!(Method::parse("DELETE"), None);
    }
}
