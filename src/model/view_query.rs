//! The query of a view collection, as far as the fields of its records follow from it: which
//! columns it selects and from which tables. No SQL parser: it knows words, quotes and parentheses,
//! and asks that an expression stands in parentheses or is one call, as PocketBase does.

use std::sync::Arc;

use super::{Collection, Field, FieldKind, Schema};

/// What a query selects, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewQuery {
    /// The columns of the result.
    pub columns: Vec<Named>,
    /// The tables, that of `FROM` first.
    pub tables: Vec<Named>,
}

/// A column or table, and the name under which it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As it was written, less the quotes around names.
    pub original: String,
    /// The name after `AS`, or the last part of the name itself.
    pub alias: String,
}

/// A query without the blanks and semicolons around it.
///
/// # Errors
/// It holds several statements, or quotes or parentheses are open. SQLite judges all else.
pub fn trim(query: &str) -> Result<&str, String> {
    let query = query.trim().trim_matches(';');
    let parts = pieces(query, |octet| octet == b';')?;
    if parts.iter().filter(|part| !part.trim().is_empty() && **part != ";").count() > 1 {
        return Err("multiple statements are not supported".to_owned());
    }
    Ok(query)
}

impl ViewQuery {
    /// Reads a query that [`trim`] let through.
    ///
    /// # Errors
    /// An expression that needs parentheses, or what is open.
    pub fn parse(query: &str) -> Result<Self, String> {
        let query = without_comments(query.trim().trim_matches(';'));
        let words = pieces(&query, |octet| octet == b',' || octet.is_ascii_whitespace())?;
        let mut sections = Sections::default();
        for word in words {
            if !sections.take(word.trim()) {
                break;
            }
        }
        let [columns, mut tables, joined] = [sections.columns, sections.tables, sections.joined]
            .map(|items| items.iter().map(|words| Named::of(words)).collect::<Result<Vec<_>, _>>());
        if let Ok(tables) = &mut tables {
            tables.extend(joined?);
        }
        Ok(Self { columns: columns?, tables: tables? })
    }
}

impl ViewQuery {
    /// The collection that a column is from, and its field there. `None` when it is computed, or
    /// from a table that is no collection.
    #[must_use]
    pub fn source<'s>(
        &self,
        column: &Named,
        schema: &'s Schema,
    ) -> Option<(&'s Arc<Collection>, Option<&'s Field>)> {
        let (alias, name) = match column.original.split('.').collect::<Vec<_>>().as_slice() {
            [table, name] => ((*table).to_owned(), *name),
            names => (self.tables.first()?.alias.clone(), *names.first()?),
        };
        let table = self.tables.iter().rev().find(|table| table.alias == alias)?;
        let collection = schema.by_name(&table.original).filter(|c| c.name == table.original)?;
        let field = collection.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        Some((collection, field))
    }
}

/// The query with an `id` that is text: one that may be anything else is cast, because ids of
/// records are text.
///
/// # Errors
/// As [`trim`] and [`ViewQuery::parse`].
pub fn with_text_id(query: &str, schema: &Schema) -> Result<String, String> {
    let query = trim(query)?;
    let parsed = ViewQuery::parse(query)?;
    let is_text = |column: &Named| {
        let field = parsed.source(column, schema).and_then(|(_, field)| field);
        field.is_some_and(|field| {
            !field.is_multiple()
                && !matches!(
                    field.kind,
                    FieldKind::Number | FieldKind::Bool | FieldKind::Json | FieldKind::GeoPoint
                )
        })
    };
    if parsed
        .columns
        .iter()
        .any(|column| column.alias.eq_ignore_ascii_case("id") && is_text(column))
    {
        return Ok(query.to_owned());
    }
    let columns: Vec<_> = parsed
        .columns
        .iter()
        .map(|column| match column.alias.replace('`', "``") {
            id if id == "id" => "CAST(`id` as TEXT) `id`".to_owned(),
            name => format!("`{name}`"),
        })
        .collect();
    Ok(format!("SELECT {} FROM ({query})", columns.join(",")))
}

/// The words of each item of the parts of a query.
#[derive(Default)]
struct Sections<'q> {
    columns: Vec<Vec<&'q str>>,
    tables: Vec<Vec<&'q str>>,
    joined: Vec<Vec<&'q str>>,
    part: Part,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Other,
    Columns,
    Tables,
    Joined,
    /// The condition of a join: another may follow.
    On,
}

impl<'q> Sections<'q> {
    /// Takes the next word, which may be a comma; `false` when the rest does not matter.
    fn take(&mut self, word: &'q str) -> bool {
        if word.is_empty() {
            return true;
        }
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "select" => self.begin(Part::Columns),
            "from" => self.begin(Part::Tables),
            "join" => self.begin(Part::Joined),
            "distinct" => {}
            "full" | "left" | "right" | "cross" | "inner" | "outer" | "natural"
                if matches!(self.part, Part::Tables | Part::Joined | Part::On) => {}
            "on" | "using" if self.part == Part::Joined => self.part = Part::On,
            "where" | "group" | "having" | "order" | "limit" | "with" => self.part = Part::Other,
            "union" | "intersect" | "except" => return false,
            _ => {
                let items = match self.part {
                    Part::Columns => &mut self.columns,
                    Part::Tables => &mut self.tables,
                    Part::Joined => &mut self.joined,
                    Part::Other | Part::On => return true,
                };
                match items.last_mut() {
                    _ if word == "," => items.push(Vec::new()),
                    Some(item) => item.push(word),
                    None => items.push(vec![word]),
                }
            }
        }
        true
    }

    fn begin(&mut self, part: Part) {
        self.part = part;
        if part == Part::Joined {
            self.joined.push(Vec::new());
        }
    }
}

impl Named {
    fn of(words: &[&str]) -> Result<Self, String> {
        let (original, alias) = match words {
            [name] => (*name, name.rsplit('.').next().unwrap_or_default()),
            [name, alias] => (*name, *alias),
            [name, keyword, alias] if keyword.eq_ignore_ascii_case("as") => (*name, *alias),
            [_, other, _] => {
                return Err(format!("invalid identifier part - expected \"as\", got {other}"));
            }
            other => return Err(format!("invalid identifier parts {other:?}")),
        };
        // SQLite takes a text where it expects a name.
        Ok(Self { original: unquoted(original, ""), alias: unquoted(alias, "'") })
    }
}

/// A name with dots, without the quotes around its parts.
fn unquoted(name: &str, more: &str) -> String {
    let is_quote = |c: char| "`\"[];".contains(c) || more.contains(c);
    let parts: Vec<_> = name.split('.').map(|part| part.trim_matches(is_quote)).collect();
    parts.join(".")
}

/// The parts of a text between separators that stand in no quotes and no parentheses; a separator
/// is a part of its own. A backslash takes away the meaning of what follows.
fn pieces(text: &str, is_separator: impl Fn(u8) -> bool) -> Result<Vec<&str>, String> {
    let mut found = Vec::new();
    let (mut from, mut depth, mut quote, mut before) = (0, 0_usize, None, 0);
    for (at, octet) in text.bytes().enumerate() {
        if before != b'\\' {
            match (octet, quote) {
                (b'(', None) => depth += 1,
                (b')', None) => depth = depth.saturating_sub(1),
                (b'\'' | b'"' | b'`', None) => quote = Some(octet),
                (_, Some(open)) if open == octet => quote = None,
                _ => {}
            }
        }
        before = octet;
        if depth == 0 && quote.is_none() && is_separator(octet) {
            found.extend([&text[from..at], &text[at..=at]]);
            from = at + 1;
        }
    }
    if depth > 0 || quote.is_some() {
        return Err(format!("unbalanced parenthesis or quoted expression: {:?}", &text[from..]));
    }
    found.push(&text[from..]);
    found.retain(|piece| !piece.is_empty());
    Ok(found)
}

/// The query with a blank in the place of each comment. A text that looks like one counts as one.
fn without_comments(query: &str) -> String {
    let mut out = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(at) = [rest.find("/*"), rest.find("--")].into_iter().flatten().min() {
        let (before, comment) = rest.split_at(at);
        let (end, width) = if comment.starts_with("/*") { ("*/", 2) } else { ("\n", 0) };
        out.push_str(before);
        out.push(' ');
        rest = comment.find(end).map_or("", |at| &comment[at + width..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::{Named, ViewQuery, trim};

    fn text(named: &[Named]) -> String {
        let items: Vec<_> = named.iter().map(|n| format!("{}={}", n.alias, n.original)).collect();
        items.join("|")
    }

    #[track_caller]
    fn check(query: &str, columns: &str, tables: &str) {
        let parsed = ViewQuery::parse(query).unwrap();
        assert_eq!(
            (text(&parsed.columns).as_str(), text(&parsed.tables).as_str()),
            (columns, tables)
        );
    }

    #[test]
    fn columns_and_tables_are_found_with_their_names() {
        check("select a from t", "a=a", "t=t");
        check(
            "SELECT  distinct `d`.`id`,\n\"x\" AS 'y', [z] w, count(*) as n, (a || ', from b') c\n from demo d , other;",
            "id=d.id|y=x|w=z|n=count(*)|c=(a || ', from b')",
            "d=demo|other=other",
        );
        check(
            "select a.id from a left outer join b as c on c.x = a.y and a.z in (1,2) inner join d using (id) where a.id != '' group by a.id order by a.id, b",
            "id=a.id",
            "a=a|c=b|d=d",
        );
        check(
            "with x as (select 1) select id -- , a from b\n, /* c, */ d from x limit 5",
            "id=id|d=d",
            "x=x",
        );
        check("select a from b union select c from d", "a=a", "b=b");
        check("select cast(a as text) as id, 1 b", "id=cast(a as text)|b=1", "");
        check("", "", "");
    }

    #[test]
    fn an_expression_without_parentheses_is_refused() {
        for query in [
            "select a || b as c from t",
            "select a b c from t",
            "select , from t",
            "select (a from t",
            "select 'a from t",
        ] {
            assert!(ViewQuery::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn only_one_statement_is_allowed() {
        assert_eq!(trim(" ; select 1; "), Ok(" select 1"));
        assert_eq!(trim("select ';'"), Ok("select ';'"));
        assert!(trim("select 1; select 2").is_err());
        assert!(trim("select (1; select 2").is_err());
    }
}
