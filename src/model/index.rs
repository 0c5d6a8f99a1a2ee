//! `CREATE INDEX` statements: what a collection says of its indexes, read and written again in
//! PocketBase's form, with names in backticks.

/// A `CREATE INDEX` statement, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// No two rows may have the same key.
    pub unique: bool,
    /// `IF NOT EXISTS`.
    pub optional: bool,
    /// The database before the name, mostly empty.
    pub schema: String,
    /// Unique in the database without regard to case; never empty.
    pub name: String,
    /// The collection's name; may be empty in what people write.
    pub table: String,
    /// The key; never empty.
    pub columns: Vec<IndexColumn>,
    /// The condition of a partial index, or empty.
    pub condition: String,
}

/// A part of an index's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexColumn {
    /// A column without quotes, or an expression as it was written.
    pub name: String,
    /// The collation, or empty.
    pub collate: String,
    /// `ASC`, `DESC` or empty.
    pub sort: String,
}

/// What may stand around a name.
const QUOTES: &[char] = &['`', '"', '\'', '[', ']', '\r', '\n', '\t', '\x0b', '\x0c', ' '];

impl Index {
    /// Takes a statement apart; `None` when it has no name or no column, or is none at all. What it
    /// says of columns and conditions is left for SQLite to judge.
    #[must_use]
    pub fn parse(sql: &str) -> Option<Self> {
        let mut rest = word(sql, "create")?;
        let unique = word(rest, "unique");
        rest = word(unique.unwrap_or(rest), "index")?;
        let optional =
            word(rest, "if").and_then(|r| word(r, "not")).and_then(|r| word(r, "exists"));
        rest = optional.unwrap_or(rest).trim_start();
        let (name, after) = rest.split_at(rest.find(char::is_whitespace)?);
        let after = word(after, "on")?.trim_start();
        let open = after.find('(')?;
        let (table, after) = (after[..open].trim_matches(QUOTES), &after[open + 1..]);
        let (key, after) = after.split_at(closing(after)?);
        let condition = word(&after[1..], "where").unwrap_or_default().trim();
        let (schema, name) = name.split_once('.').unwrap_or(("", name));
        let columns: Vec<_> = split(key, ',').into_iter().filter_map(IndexColumn::parse).collect();
        let name = name.trim_matches(QUOTES);
        let is_plain =
            ![schema, name, table].iter().any(|part| part.trim_matches(QUOTES).contains('`'));
        (!name.is_empty() && !columns.is_empty() && is_plain).then(|| Self {
            unique: unique.is_some(),
            optional: optional.is_some(),
            schema: schema.trim_matches(QUOTES).to_owned(),
            name: name.to_owned(),
            table: table.to_owned(),
            columns,
            condition: condition.to_owned(),
        })
    }

    /// The statement as PocketBase writes it.
    #[must_use]
    pub fn to_sql(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(IndexColumn::to_sql).collect();
        let columns = match columns.as_slice() {
            [column] => column.clone(),
            several => format!("\n  {}\n", several.join(",\n  ")),
        };
        let mut sql = format!(
            "CREATE {}INDEX {}{}`{}` ON `{}` ({columns})",
            if self.unique { "UNIQUE " } else { "" },
            if self.optional { "IF NOT EXISTS " } else { "" },
            if self.schema.is_empty() { String::new() } else { format!("`{}`.", self.schema) },
            self.name,
            self.table,
        );
        if !self.condition.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.condition);
        }
        sql
    }

    /// The first unique index of `indexes` over `column` alone, whose case does not matter.
    #[must_use]
    pub fn unique_over(indexes: &[String], column: &str) -> Option<Self> {
        indexes.iter().filter_map(|sql| Self::parse(sql)).find(|index| {
            index.unique
                && matches!(&*index.columns, [only] if only.name.eq_ignore_ascii_case(column))
        })
    }
}

impl IndexColumn {
    fn parse(text: &str) -> Option<Self> {
        let mut name = text.trim();
        let mut column = Self::default();
        if let Some((before, last)) = name.rsplit_once(char::is_whitespace)
            && (last.eq_ignore_ascii_case("asc") || last.eq_ignore_ascii_case("desc"))
        {
            (name, column.sort) = (before.trim_end(), last.to_ascii_uppercase());
        }
        if let Some((before, last)) = name.rsplit_once(char::is_whitespace)
            && let Some((before, keyword)) = before.trim_end().rsplit_once(char::is_whitespace)
            && keyword.eq_ignore_ascii_case("collate")
            && last.bytes().all(|octet| octet == b'_' || octet.is_ascii_alphanumeric())
        {
            (name, column.collate) = (before.trim_end(), last.to_owned());
        }
        column.name = name.trim_matches(QUOTES).to_owned();
        // A backtick within a name could end it early when it is written again.
        let is_plain = column.is_expression() || !column.name.contains('`');
        (!column.name.is_empty() && is_plain).then_some(column)
    }

    fn is_expression(&self) -> bool {
        self.name.contains(['(', ' '])
    }

    fn to_sql(&self) -> String {
        let mut sql =
            if self.is_expression() { self.name.clone() } else { format!("`{}`", self.name) };
        if !self.collate.is_empty() {
            sql.push_str(" COLLATE ");
            sql.push_str(&self.collate);
        }
        if !self.sort.is_empty() {
            sql.push(' ');
            sql.push_str(&self.sort);
        }
        sql
    }
}

/// What follows the keyword at the start of `text`, its case and blanks before it ignored.
fn word<'t>(text: &'t str, keyword: &str) -> Option<&'t str> {
    let (head, rest) = text.trim_start().split_at_checked(keyword.len())?;
    let ends = rest.is_empty() || !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric());
    (head.eq_ignore_ascii_case(keyword) && ends).then_some(rest)
}

/// Walks over `text` outside of quotes; `each` gets an octet, its place and the depth of
/// parentheses before it, and may stop the walk.
fn walk(text: &str, mut each: impl FnMut(u8, usize, usize) -> bool) {
    let (mut depth, mut quote) = (0_usize, None);
    for (at, octet) in text.bytes().enumerate() {
        match (quote, octet) {
            (Some(open), _) if open == octet => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'`') => quote = Some(octet),
            (None, _) => {
                if each(octet, at, depth) {
                    return;
                }
                match octet {
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }
}

/// Where the parenthesis closes that was open before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut found = None;
    walk(text, |octet, at, depth| {
        found = (octet == b')' && depth == 0).then_some(at);
        found.is_some()
    });
    found
}

/// The parts of `text` between separators that are in no quotes and no parentheses.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    walk(text, |octet, at, depth| {
        if depth == 0 && char::from(octet) == separator {
            parts.push(&text[from..at]);
            from = at + 1;
        }
        false
    });
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[track_caller]
    fn check(sql: &str, expected: Option<&str>) {
        assert_eq!(Index::parse(sql).map(|index| index.to_sql()).as_deref(), expected, "{sql}");
    }

    #[test]
    fn statements_are_written_again_as_pocketbase_writes_them() {
        check(
            "create index idx_test1 on new (test)",
            Some("CREATE INDEX `idx_test1` ON `new` (`test`)"),
        );
        check(
            " CREATE\n unique INDEX if not  exists \"a\".[b]\n on'c'(`d` collate nocase desc , e,lower(f, 'x)y') ASC) \nwhere (d != '') and e > 1 ",
            Some(
                "CREATE UNIQUE INDEX IF NOT EXISTS `a`.`b` ON `c` (\n  `d` COLLATE nocase DESC,\n  `e`,\n  lower(f, 'x)y') ASC\n) WHERE (d != '') and e > 1",
            ),
        );
        check(
            "CREATE UNIQUE INDEX `i` ON `t` (`email`) WHERE `email` != ''",
            Some("CREATE UNIQUE INDEX `i` ON `t` (`email`) WHERE `email` != ''"),
        );
        check("create index i on (a)", Some("CREATE INDEX `i` ON `` (`a`)"));
    }

    #[test]
    fn what_is_no_index_is_none() {
        for sql in [
            "",
            "create",
            "create table t (a)",
            "create index i",
            "create index on t (a)",
            "create index i on t ()",
            "create index i on t (a",
            "create index i on t (a, 'b)",
            "create index `` on t (a)",
            "create index i on t ( , '' )",
            "create index i on t (a`b)",
            "create index i`j on t (a)",
            "drop index i on t (a)",
            "créate index i on t (a)",
        ] {
            check(sql, None);
        }
    }

    #[test]
    fn a_written_statement_reads_back_the_same() {
        for sql in [
            "CREATE INDEX `i` ON `t` (`a`)",
            "CREATE UNIQUE INDEX `i` ON `t` (\n  `a` COLLATE NOCASE,\n  json_extract(b, '$.c') DESC\n) WHERE a > (1)",
        ] {
            check(sql, Some(sql));
        }
    }

    #[test]
    fn a_unique_index_over_one_column_is_found() {
        let indexes = [
            "CREATE INDEX a ON t (email)",
            "CREATE UNIQUE INDEX b ON t (email, name)",
            "CREATE UNIQUE INDEX c ON t (`Email` COLLATE NOCASE) WHERE email != ''",
        ]
        .map(str::to_owned);
        let found = Index::unique_over(&indexes, "email").unwrap();
        assert_eq!((found.name.as_str(), found.columns[0].collate.as_str()), ("c", "NOCASE"));
        assert!(Index::unique_over(&indexes, "name").is_none());
    }
}
