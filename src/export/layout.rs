//! The columns that platforms read.

use clap::ValueEnum;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contacts::{self, Contacts, Role};
use super::{ExportParams, names_of};
use crate::columns::*;

/// Who reads a list.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Layout {
    #[default]
    #[value(help = "Customer, segment, recency, frequency, monetary value, and all contacts")]
    Csv,
    #[value(help = "The same as a workbook")]
    Xlsx,
    #[value(help = "Google Ads Customer Match")]
    GoogleAds,
    #[value(help = "Meta custom audience")]
    Meta,
    #[value(help = "Klaviyo list")]
    Klaviyo,
    #[value(help = "Mailchimp audience, with the segment as a tag")]
    Mailchimp,
    #[value(help = "HubSpot contacts")]
    Hubspot,
}

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A contact that the platform reads as plain text only.
    Plain(Role),
    /// A contact that may be hashed.
    Hashed(Role),
    Column(&'static str),
}

use Source::{Column as Of, Hashed, Plain};

impl Layout {
    /// Headers and their sources, in order.
    fn columns(self) -> &'static [(&'static str, Source)] {
        match self {
            Self::Csv | Self::Xlsx => &[],
            // support.google.com/google-ads/answer/7659867
            Self::GoogleAds => &[
                ("Email", Hashed(Role::Email)),
                ("Phone", Hashed(Role::Phone)),
                ("First Name", Hashed(Role::FirstName)),
                ("Last Name", Hashed(Role::LastName)),
                ("Country", Plain(Role::Country)),
                ("Zip", Plain(Role::Zip)),
            ],
            // developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences
            Self::Meta => &[
                ("email", Hashed(Role::Email)),
                ("phone", Hashed(Role::Phone)),
                ("fn", Hashed(Role::FirstName)),
                ("ln", Hashed(Role::LastName)),
                ("ct", Hashed(Role::City)),
                ("st", Hashed(Role::State)),
                ("zip", Hashed(Role::Zip)),
                ("country", Hashed(Role::Country)),
                ("value", Of(MONETARY)),
            ],
            Self::Klaviyo => &[
                ("Email", Plain(Role::Email)),
                ("Phone Number", Plain(Role::Phone)),
                ("First Name", Plain(Role::FirstName)),
                ("Last Name", Plain(Role::LastName)),
                ("City", Plain(Role::City)),
                ("State / Region", Plain(Role::State)),
                ("Zip Code", Plain(Role::Zip)),
                ("Country", Plain(Role::Country)),
                ("Email Marketing Consent", Plain(Role::Consent)),
                ("Segment", Of(SEGMENT)),
            ],
            Self::Mailchimp => &[
                ("Email Address", Plain(Role::Email)),
                ("First Name", Plain(Role::FirstName)),
                ("Last Name", Plain(Role::LastName)),
                ("Phone Number", Plain(Role::Phone)),
                ("Tags", Of(SEGMENT)),
            ],
            Self::Hubspot => &[
                ("Email", Plain(Role::Email)),
                ("First Name", Plain(Role::FirstName)),
                ("Last Name", Plain(Role::LastName)),
                ("Phone Number", Plain(Role::Phone)),
                ("City", Plain(Role::City)),
                ("State/Region", Plain(Role::State)),
                ("Postal Code", Plain(Role::Zip)),
                ("Country/Region", Plain(Role::Country)),
                ("Segment", Of(SEGMENT)),
            ],
        }
    }

    /// The largest file that the platform reads.
    pub(super) fn max_bytes(self) -> Option<u64> {
        // Klaviyo documents 50 MB a file.
        (self == Self::Klaviyo).then_some(50_000_000)
    }

    /// Whether no platform prescribes the columns.
    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::Csv | Self::Xlsx)
    }

    /// Whether it reads hashed contacts.
    pub(crate) fn takes_hashes(self) -> bool {
        self.is_plain() || self.takes_country_codes()
    }

    fn takes_country_codes(self) -> bool {
        matches!(self, Self::GoogleAds | Self::Meta)
    }

    /// Roles of which a row needs one.
    fn needed(self) -> &'static [Role] {
        match self {
            Self::Csv | Self::Xlsx => &[],
            Self::Mailchimp | Self::Hubspot => &[Role::Email],
            Self::GoogleAds | Self::Meta | Self::Klaviyo => &[Role::Email, Role::Phone],
        }
    }
}

/// The columns of a list, and whether each of its customers has a contact that the platform reads.
pub(super) struct Arranged {
    pub(super) columns: DataFrame,
    pub(super) has_contact: BooleanChunked,
}

/// The columns of a list. The error is a sentence about an option.
pub(super) fn arrange(
    params: &ExportParams,
    contacts: Option<&Contacts>,
    rows: &DataFrame,
    warnings: &mut Vec<String>,
) -> Result<Arranged, String> {
    let layout = params.layout;
    if params.hash && !layout.takes_hashes() {
        return Err("--hash: this platform reads plain addresses only".to_owned());
    }
    if !layout.is_plain() {
        let contacts =
            contacts.ok_or("this format needs addresses: name their file with --contacts")?;
        if layout.needed().iter().all(|role| contacts.column(*role).is_none()) {
            let found = contacts.names().join(", ");
            return Err(format!(
                "no column of the contacts is an email address or phone; found: {found}"
            ));
        }
        warnings.extend(platform_warnings(layout, contacts, rows.height()));
        warnings.extend(countries_left_out(layout, contacts, rows));
    }
    let mut headers: Vec<(String, Column)> =
        if layout.is_plain() { plain_columns(params, contacts, rows)? } else { Vec::new() };
    for (header, source) in layout.columns() {
        let column = match source {
            Of(name) => rows.column(name).ok().cloned(),
            Plain(role) | Hashed(role) => contacts.and_then(|contacts| {
                let hash = params.hash && matches!(source, Hashed(_));
                Some(contact(rows, contacts.column(*role)?, *role, layout, hash))
            }),
        };
        headers.extend(column.map(|column| ((*header).to_owned(), column)));
    }
    for name in &params.columns {
        if !headers.iter().any(|(header, _)| header == name) {
            let column = rows.column(name).map_err(|_| {
                let found = names_of(rows).join(", ");
                format!("--columns: no column `{name}`; found: {found}")
            })?;
            let column = match contacts.and_then(|contacts| contacts.role(name)) {
                Some(role) if params.hash => contact(rows, name, role, layout, true),
                _ => column.clone(),
            };
            headers.push((name.clone(), column));
        }
    }
    let has_contact = |row: usize| {
        let needed = layout.needed();
        let of = |role: &Role| {
            let find = |source: &Source| matches!(source, Plain(r) | Hashed(r) if r == role);
            let header = layout.columns().iter().find(|(_, source)| find(source))?.0;
            let column = headers.iter().find(|(name, _)| name == header)?.1.str().ok()?;
            column.get(row).filter(|value| !value.is_empty())
        };
        needed.is_empty() || needed.iter().any(|role| of(role).is_some())
    };
    let has_contact: BooleanChunked = (0..rows.height()).map(has_contact).collect();
    let columns = headers.iter().map(|(name, column)| column.clone().with_name(name.into()));
    let columns = DataFrame::new(rows.height(), columns.collect());
    Ok(Arranged { columns: columns.map_err(|error| error.to_string())?, has_contact })
}

/// A column of contacts in the form that platforms read.
fn contact(rows: &DataFrame, name: &str, role: Role, layout: Layout, hash: bool) -> Column {
    let Ok(values) = rows.column(name).and_then(|column| column.str().cloned()) else {
        return Column::full_null(name.into(), rows.height(), &DataType::String);
    };
    let value = |value: Option<&str>| {
        let value = match role {
            // Meta hashes the digits alone.
            Role::Phone if layout == Layout::Meta => contacts::international(value?)?.split_off(1),
            Role::Phone => contacts::international(value?)?,
            Role::Email => contacts::address(value?)?,
            Role::Country if layout.takes_country_codes() && !is_country_code(value?) => {
                return None;
            }
            _ => value?.trim().to_owned(),
        };
        (!value.is_empty()).then(|| if hash { contacts::hashed(&value) } else { value })
    };
    let made: StringChunked = values.iter().map(value).collect();
    made.into_column()
}

/// Customer, segment and measures, then all contacts.
fn plain_columns(
    params: &ExportParams,
    contacts: Option<&Contacts>,
    rows: &DataFrame,
) -> Result<Vec<(String, Column)>, String> {
    let measures = [CUSTOMER_ID, SEGMENT, PREVIOUS_SEGMENT, RECENCY_DAYS, FREQUENCY, MONETARY];
    let mut columns = Vec::new();
    for name in measures {
        if let Ok(column) = rows.column(name) {
            columns.push((name.to_owned(), column.clone()));
        }
    }
    for name in contacts.map(Contacts::names).unwrap_or_default() {
        let role = contacts.and_then(|contacts| contacts.role(name));
        let column = match role {
            Some(role) if params.hash && role != Role::Consent => {
                contact(rows, name, role, params.layout, true)
            }
            // It may be an address by another name.
            None if params.hash => continue,
            _ => rows.column(name).map_err(|error| error.to_string())?.clone(),
        };
        columns.push((name.to_owned(), column));
    }
    Ok(columns)
}

/// Such as DE.
fn is_country_code(value: &str) -> bool {
    let value = value.trim();
    value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn countries_left_out(layout: Layout, contacts: &Contacts, rows: &DataFrame) -> Option<String> {
    let countries = rows.column(contacts.column(Role::Country)?).ok()?.str().ok()?;
    let names = countries.iter().flatten().filter(|value| !is_country_code(value)).count();
    let is_short = names > 0 && layout.takes_country_codes();
    is_short.then(|| format!("{names} countries are no code of two letters, and left out"))
}

/// Number of customers whose phone number is not international, where only such are read.
pub(super) fn phones_left_out(
    params: &ExportParams,
    contacts: Option<&Contacts>,
    rows: &DataFrame,
) -> usize {
    if params.layout.is_plain() && !params.hash {
        return 0;
    }
    let phones = contacts.and_then(|contacts| contacts.column(Role::Phone));
    let phones = phones.and_then(|name| rows.column(name).ok()?.str().ok());
    let is_local =
        |phone: &&str| !phone.trim().is_empty() && contacts::international(phone).is_none();
    phones.map_or(0, |phones| phones.iter().flatten().filter(is_local).count())
}

/// Limits of a platform that the list may exceed.
fn platform_warnings(layout: Layout, contacts: &Contacts, rows: usize) -> Vec<String> {
    const LEAST_PEOPLE: usize = 100;
    let mut warnings = Vec::new();
    let has = |role: Role| contacts.column(role).is_some();
    if matches!(layout, Layout::Meta | Layout::GoogleAds) && rows < LEAST_PEOPLE {
        warnings.push(format!(
            "{rows} customers; the platform serves lists of at least {LEAST_PEOPLE}"
        ));
    }
    match layout {
        Layout::GoogleAds if has(Role::FirstName) && !(has(Role::Country) && has(Role::Zip)) => {
            warnings.push("Google matches names only with Country and Zip".to_owned());
        }
        Layout::Meta => warnings.push(
            "Meta reports audiences whose name is about money or health: give the file another name"
                .to_owned(),
        ),
        Layout::Klaviyo if !has(Role::Consent) => {
            warnings.push("the contacts have no column of consent".to_owned());
        }
        _ => {}
    }
    if layout != Layout::Klaviyo && has(Role::Consent) {
        warnings.push(
            "the column of consent is not read: name customers without it in --suppress".to_owned(),
        );
    }
    warnings
}
