//! A page of a collection's records.

use std::sync::Arc;

use super::{Refused, rules};
use crate::limits::{FILTER_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use crate::model::filter::{FilterError, Plan, RequestInfo, Resolver, Speaker, parse};
use crate::model::{Collection, Page, Paging, Schema};
use crate::store::Reader;

/// The parameters of a list as a client wrote them; `None` or empty = not given.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// A whole number, counted from 1.
    pub page: Option<String>,
    /// A whole number.
    pub per_page: Option<String>,
    /// A truth.
    pub skip_total: Option<String>,
    /// Keys with commas between.
    pub sort: Option<String>,
    /// PocketBase's filter language.
    pub filter: Option<String>,
}

impl Params {
    /// Reads what every list has in common, with PocketBase's defaults and bounds.
    ///
    /// # Errors
    /// Names the parameter that cannot be read.
    pub fn paging(&self) -> Result<Paging, Refused> {
        let number = |given: &Option<String>, name| match given.as_deref() {
            None | Some("") => Ok(0),
            // Go's Atoi: a sign is allowed, and what is below 1 is the default.
            Some(text) => text.parse::<i64>().map_err(|_| Refused::BadParameter(name)),
        };
        let page = number(&self.page, "page")?;
        let per_page = number(&self.per_page, "perPage")?;
        let skip_total = match self.skip_total.as_deref() {
            None | Some("" | "0" | "f" | "F" | "false" | "FALSE" | "False") => false,
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
            Some(_) => return Err(Refused::BadParameter("skipTotal")),
        };
        Ok(Paging {
            page: u64::try_from(page).unwrap_or(0).max(1),
            per_page: match u64::try_from(per_page) {
                Ok(0) | Err(_) => PAGE_ITEMS_DEFAULT,
                Ok(per_page) => per_page.min(PAGE_ITEMS_MAX),
            },
            skip_total,
        })
    }
}

/// What only superusers may write in a filter or a sort key.
const SUPERUSERS_WORDS: [&str; 2] = ["@collection.", "@request."];

/// The page that `params` ask for, as far as the caller may see it: the list rule is a filter like
/// the client's own.
///
/// # Errors
/// See [`Refused`]; a filter or a sort key that means nothing here is [`Refused::BadParameter`].
pub fn list(
    reader: &Reader<'_>,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    params: &Params,
) -> Result<Page, Refused> {
    let gate = rules::gate(collection.list_rule.as_deref(), info)?;
    check_words(info, [&params.filter, &params.sort].into_iter().flatten())?;
    let paging = params.paging()?;
    let schema = Arc::clone(reader.schema());
    let plan = rules::start(&schema, collection, gate, info)
        .inspect_err(|error| {
            log::warn!("cannot resolve a rule collection={} error={error}", collection.name);
        })
        .map_err(|_| Refused::BadParameter("filter"))
        .and_then(|resolver| plan(resolver, info, params))?;
    Ok(reader.list(&plan, paging)?)
}

/// Refuses what only superusers may write in a filter or in sort keys.
pub(super) fn check_words<'t>(
    info: &RequestInfo,
    given: impl Iterator<Item = &'t String> + Clone,
) -> Result<(), Refused> {
    for word in SUPERUSERS_WORDS {
        if !info.is_superuser() && given.clone().any(|text| text.contains(word)) {
            return Err(Refused::SuperusersWord(word));
        }
    }
    Ok(())
}

/// A query over what a superuser's filter lets pass.
///
/// # Errors
/// [`Refused::BadParameter`].
pub fn filtered(
    schema: &Schema,
    collection: &Arc<Collection>,
    info: &RequestInfo,
    filter: Option<String>,
) -> Result<Plan, Refused> {
    let resolver = rules::start(schema, collection, rules::Gate::Open, info);
    let resolver = resolver.map_err(|_| Refused::BadParameter("filter"))?;
    plan(resolver, info, &Params { filter, ..Params::default() })
}

/// Adds what the client asks for.
fn plan(mut resolver: Resolver<'_>, info: &RequestInfo, params: &Params) -> Result<Plan, Refused> {
    let speaker = if info.is_superuser() { Speaker::Trusted } else { Speaker::Client };
    let bad = |name| {
        move |error: FilterError| {
            log::debug!("bad list parameter name={name} error={error}");
            Refused::BadParameter(name)
        }
    };
    if let Some(filter) = params.filter.as_deref().filter(|filter| !filter.is_empty()) {
        if filter.len() > FILTER_BYTES_MAX {
            return Err(Refused::BadParameter("filter"));
        }
        let filter = parse(filter).map_err(bad("filter"))?;
        resolver.filter(&filter, speaker).map_err(bad("filter"))?;
    }
    resolver.sort(params.sort.as_deref().unwrap_or_default(), speaker).map_err(bad("sort"))?;
    resolver.finish().map_err(bad("filter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(page: &str, per_page: &str, skip_total: &str) -> Params {
        Params {
            page: Some(page.into()),
            per_page: Some(per_page.into()),
            skip_total: Some(skip_total.into()),
            ..Params::default()
        }
    }

    #[test]
    fn paging_has_pocketbases_defaults_and_bounds() {
        let check = |given: Params, page, per_page, skip_total| {
            let expected = Paging { page, per_page, skip_total };
            assert_eq!(given.paging().unwrap(), expected, "{given:?}");
        };
        check(Params::default(), 1, 30, false);
        check(params("", "", ""), 1, 30, false);
        check(params("-1", "-3", "0"), 1, 30, false);
        check(params("+2", "0", "T"), 2, 30, true);
        check(params("7", "99999", "false"), 7, 1000, false);
        for bad in [params("x", "1", "1"), params("1.5", "1", "1"), params("1", "1", "yes")] {
            assert!(matches!(bad.paging(), Err(Refused::BadParameter(_))), "{bad:?}");
        }
    }
}
