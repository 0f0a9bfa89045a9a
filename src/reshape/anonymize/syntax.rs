//! How far a statement has been read: its first words, its open parentheses, its clause, what SET is setting.
//!
//! Takes words and signs one by one and gives the state. Must not know what follows from it.

/// The part of a query in which a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clause {
    #[default]
    Other,
    Limit,
    /// ORDER BY or GROUP BY.
    Ordinal,
    Where,
}

impl Clause {
    /// The clause that a word in lower case begins.
    pub(super) fn begun_by(word: &str, before: &str, head: &str) -> Option<Self> {
        match word {
            "limit" | "offset" => Some(Self::Limit),
            "fetch" if head != "fetch" => Some(Self::Limit),
            "by" if matches!(before, "order" | "group") => Some(Self::Ordinal),
            "by" if before == "partition" => Some(Self::Other),
            "where" => Some(Self::Where),
            "select" | "from" | "having" | "union" | "intersect" | "except" | "values" | "returning" | "window"
            | "for" | "join" | "on" | "set" | "then" | "loop" => Some(Self::Other),
            _ => None,
        }
    }
}

/// What stands between one pair of parentheses or brackets.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) kind: FrameKind,
    /// The function that is called, in lower case.
    pub(super) call: Option<String>,
    /// The argument being read, from 0.
    pub(super) argument: usize,
    pub(super) clause: Clause,
}

impl Frame {
    /// Whether these are the arguments of a function.
    pub(super) fn is_call(&self, name: &str) -> bool {
        self.call.as_deref() == Some(name)
    }
}

/// What a pair of parentheses or brackets is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FrameKind {
    #[default]
    Group,
    /// `varchar(10)`.
    Modifiers,
    Subscript,
    /// `WITH (fillfactor = 70)`.
    Options,
    /// `? ARRAY['key']`.
    JsonKeys,
}

/// Whether a word before a parenthesis is the name of a function.
pub(super) fn is_function_name(word: &str) -> bool {
    const OTHERS: [&str; 56] = [
        "all",
        "and",
        "any",
        "array",
        "as",
        "between",
        "by",
        "case",
        "check",
        "cube",
        "default",
        "distinct",
        "else",
        "except",
        "execute",
        "exists",
        "filter",
        "from",
        "grouping",
        "having",
        "ilike",
        "in",
        "include",
        "insert",
        "intersect",
        "into",
        "is",
        "join",
        "key",
        "lateral",
        "like",
        "limit",
        "not",
        "offset",
        "on",
        "only",
        "or",
        "over",
        "primary",
        "references",
        "return",
        "returning",
        "rollup",
        "row",
        "select",
        "set",
        "sets",
        "some",
        "table",
        "then",
        "union",
        "unique",
        "using",
        "values",
        "when",
        "where",
    ];
    !OTHERS.contains(&word)
}

/// The statement being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Statement {
    words: Vec<String>,
    pub(super) set: Setting,
    pub(super) creates_function: bool,
    /// Whether strings are parts of a statement that is put together: EXECUTE in PL/pgSQL.
    pub(super) is_dynamic: bool,
}

/// Words of a statement's beginning that are looked at.
const FIRST_WORDS: usize = 4;

impl Statement {
    /// The first word, in lower case.
    pub(super) fn head(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Takes the next word, in lower case; a quoted identifier has its first quote before it, so that it is no keyword.
    pub(super) fn word(&mut self, word: &str) {
        if self.words.len() < FIRST_WORDS {
            self.words.push(word.to_owned());
            let head = self.words.first().map_or("", String::as_str);
            self.creates_function |= head == "create" && matches!(word, "function" | "procedure");
            if self.words.len() == 1 && word == "set" {
                self.set = Setting::Name(String::new());
                return;
            }
        }
        let second = self.words.get(1).map_or("", String::as_str);
        let alters_settings = self.head() == "alter" && matches!(second, "role" | "user" | "database" | "system");
        if alters_settings && word == "set" && self.set == Setting::None {
            self.set = Setting::Name(String::new());
        } else {
            self.set.word(word);
        }
    }
}

/// How far a SET is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Setting {
    #[default]
    None,
    /// Its name, as far as it has been read.
    Name(String),
    Value(SetPlace),
}

/// Whose value is being set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetPlace {
    /// A setting of PostgreSQL.
    Own,
    /// A setting with a dot in its name: an application's.
    Custom,
    /// A setting that holds the name of a user or of an application.
    Name,
}

impl Setting {
    /// Whose value the next token belongs to; none outside of values.
    pub(super) fn place(&self) -> Option<SetPlace> {
        match self {
            Self::Value(place) => Some(*place),
            _ => None,
        }
    }

    fn word(&mut self, word: &str) {
        let Self::Name(name) = self else { return };
        match (name.as_str(), word) {
            ("", "local") => {}
            ("session", "authorization") | ("" | "session", "role") => *self = Self::Value(SetPlace::Name),
            ("time", "zone") | ("" | "session", "names" | "schema" | "transaction" | "constraints") => {
                *self = Self::Value(SetPlace::Own);
            }
            ("session", "characteristics") => *self = Self::Value(SetPlace::Own),
            (_, "to") => self.assign(),
            ("session", _) => *self = Self::Name(word.to_owned()),
            _ => name.push_str(word),
        }
    }

    pub(super) fn dot(&mut self) {
        if let Self::Name(name) = self {
            name.push('.');
        }
    }

    pub(super) fn operator(&mut self, operator: &str) {
        if operator == "=" {
            self.assign();
        }
    }

    fn assign(&mut self) {
        if let Self::Name(name) = self {
            *self = Self::Value(set_place(name));
        }
    }
}

/// Whose a setting is, by its name in lower case.
pub(super) fn set_place(name: &str) -> SetPlace {
    match name.trim_matches('"') {
        "application_name" | "role" | "session_authorization" => SetPlace::Name,
        _ if name.contains('.') => SetPlace::Custom,
        _ => SetPlace::Own,
    }
}
