//! Contacts of customers: which column is what, and their usual form.

use std::collections::HashSet;

use polars::prelude::*;
use sha2::{Digest, Sha256};

use super::names_of;
use crate::columns::{CUSTOMER_ID, PREVIOUS_SEGMENT, SEGMENT};

/// What a column of a contact file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Email,
    Phone,
    FirstName,
    LastName,
    City,
    State,
    Zip,
    Country,
    Consent,
}

/// Names of columns, in lower case, without blanks and signs.
const NAMES: [(Role, &[&str]); 9] = [
    (Role::Email, &["email", "emailaddress", "mail", "customeremail", "emailbilling"]),
    (Role::Phone, &["phone", "phonenumber", "mobile", "mobilephone", "telephone", "telefon"]),
    (Role::FirstName, &["firstname", "fn", "givenname", "forename", "vorname", "prenom"]),
    (Role::LastName, &["lastname", "ln", "surname", "familyname", "nachname", "nom"]),
    (Role::City, &["city", "ct", "town", "ort", "stadt", "ville"]),
    (Role::State, &["state", "st", "region", "province", "stateregion"]),
    (Role::Zip, &["zip", "zipcode", "postcode", "postalcode", "plz"]),
    (Role::Country, &["country", "countrycode", "land", "pays"]),
    (Role::Consent, &["consent", "emailmarketingconsent", "acceptsmarketing", "optin"]),
];

/// Contacts as text, one row a customer.
pub(crate) struct Contacts {
    frame: DataFrame,
    roles: Vec<(Role, String)>,
    pub(crate) repeated: usize,
}

impl Contacts {
    /// Takes the rows of a file. `key` is the column of the customer id. The first row of a customer
    /// counts. The error is a sentence.
    pub(crate) fn new(frame: &DataFrame, key: &str) -> Result<Self, String> {
        let names = names_of(frame);
        if let Some(name) = [SEGMENT, PREVIOUS_SEGMENT].into_iter().find(|one| names.contains(one))
        {
            return Err(format!("the contacts have a column `{name}`: rename it"));
        }
        if !names.contains(&key) {
            let found = names.join(", ");
            return Err(format!("the contacts have no column `{key}` (--key); found: {found}"));
        }
        is_text_or_integer(frame, key, "--key")?;
        let text = frame.try_apply_columns(|column| column.cast(&DataType::String));
        let text = text.and_then(|columns| DataFrame::new(frame.height(), columns));
        let keyed = text.and_then(|text| {
            let mut text = text.lazy().filter(col(key).is_not_null()).collect()?;
            text.rename(key, CUSTOMER_ID.into())?;
            Ok(text)
        });
        let all = keyed.map_err(|error| error.to_string())?;
        let key = [CUSTOMER_ID.to_owned()];
        let unique = all.unique_stable(Some(&key), UniqueKeepStrategy::First, None);
        let frame = unique.map_err(|error| error.to_string())?;
        let mut roles: Vec<(Role, String)> = Vec::new();
        for name in names_of(&frame) {
            if let Some(role) = role_of(name)
                && !roles.iter().any(|(other, _)| *other == role)
                && name != CUSTOMER_ID
            {
                roles.push((role, name.to_owned()));
            }
        }
        Ok(Self { repeated: all.height() - frame.height(), frame, roles })
    }

    /// Addresses and phone numbers of the customers with these ids.
    pub(super) fn reached(&self, ids: &HashSet<String>) -> HashSet<String> {
        let Ok(own) = self.frame.column(CUSTOMER_ID).and_then(|ids| ids.str()) else {
            return HashSet::new();
        };
        let is_of =
            |(_, id): &(usize, Option<&str>)| id.is_some_and(|id| ids.contains(&id.to_lowercase()));
        let rows = own.iter().enumerate().filter(is_of);
        rows.flat_map(|(row, _)| self.reach(&self.frame, row)).collect()
    }

    /// The address and the phone number in a row of customers with their contacts.
    pub(super) fn reach(&self, rows: &DataFrame, row: usize) -> Vec<String> {
        let text = |role: Role| rows.column(self.column(role)?).ok()?.str().ok()?.get(row);
        let email = text(Role::Email).map(normalise).filter(|email| !email.is_empty());
        let phone = text(Role::Phone).and_then(international);
        email.into_iter().chain(phone).collect()
    }

    /// Whether one of the customers has a contact.
    pub(super) fn has_any(&self, ids: &StringChunked) -> bool {
        let own = self.frame.column(CUSTOMER_ID).and_then(|ids| ids.str());
        let known: HashSet<&str> =
            own.map(|ids| ids.iter().flatten().collect()).unwrap_or_default();
        ids.is_empty() || ids.iter().flatten().any(|id| known.contains(id))
    }

    /// Adds the contacts to customers, in their order. Of equal names, the contact's column stays.
    pub(super) fn join(&self, customers: &DataFrame) -> PolarsResult<DataFrame> {
        let key = [col(CUSTOMER_ID)];
        let customers = &customers.drop_many(self.names());
        let mut args = JoinArgs::new(JoinType::Left);
        args.maintain_order = MaintainOrderJoin::Left;
        let contacts = self.frame.clone().lazy();
        customers.clone().lazy().join(contacts, key.clone(), key, args).collect()
    }

    pub(super) fn column(&self, role: Role) -> Option<&str> {
        self.roles.iter().find(|(other, _)| *other == role).map(|(_, name)| name.as_str())
    }

    pub(super) fn role(&self, name: &str) -> Option<Role> {
        self.roles.iter().find(|(_, other)| other == name).map(|(role, _)| *role)
    }

    pub(crate) fn has_emails(&self) -> bool {
        self.column(Role::Email).is_some()
    }

    /// Names of the columns, without the customer's id.
    pub(super) fn names(&self) -> Vec<&str> {
        let names = names_of(&self.frame);
        names.into_iter().filter(|name| *name != CUSTOMER_ID).collect()
    }
}

/// What a column is, by its name.
pub(super) fn role_of(name: &str) -> Option<Role> {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let plain = plain.to_lowercase();
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(role, _)| *role)
}

/// Ids and addresses in lower case, from the columns `key` and email. The error is a sentence.
pub(crate) fn suppressed(
    frame: &DataFrame,
    key: &str,
    has_emails: bool,
) -> Result<HashSet<String>, String> {
    let names = names_of(frame);
    let of_email = |name: &&str| role_of(name) == Some(Role::Email);
    let key = names.iter().copied().find(|name| *name == key);
    let email = names.iter().copied().find(of_email);
    match (key, email) {
        (None, None) => {
            let found = names.join(", ");
            let reason = "expected the column of --key, or `email`";
            return Err(format!("--suppress: {reason}; found: {found}"));
        }
        (None, Some(_)) if !has_emails => {
            let reason =
                "its addresses need those of the customers: name their file with --contacts";
            return Err(format!("--suppress: {reason}"));
        }
        _ => {}
    }
    let mut suppressed = HashSet::new();
    for name in [key, email].into_iter().flatten() {
        is_text_or_integer(frame, name, "--suppress")?;
        let column = frame.column(name).and_then(|column| column.cast(&DataType::String));
        let column = column.map_err(|error| error.to_string())?;
        let values = column.str().map_err(|error| error.to_string())?.iter().flatten();
        suppressed.extend(values.map(normalise).filter(|value| !value.is_empty()));
    }
    Ok(suppressed)
}

/// Ids as floats, such as 12.0, equal no id as text.
fn is_text_or_integer(frame: &DataFrame, name: &str, option: &str) -> Result<(), String> {
    let dtype = frame.column(name).map_err(|error| error.to_string())?.dtype();
    if dtype.is_string() || dtype.is_integer() || dtype.is_null() {
        return Ok(());
    }
    Err(format!("{option}: the column `{name}` has the type {dtype}; write it as text"))
}

/// An email address, trimmed and in lower case.
pub(super) fn address(value: &str) -> Option<String> {
    let email = normalise(value);
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('-') && !name.ends_with('-');
    let is_address = email.split_once('@').is_some_and(|(mailbox, domain)| {
        let is_plain = !email.contains(|c: char| c.is_whitespace() || "<>()[],;:\"\\".contains(c));
        let has_dots = mailbox.split('.').all(|part| !part.is_empty());
        is_plain && has_dots && domain.contains('.') && domain.split('.').all(is_name)
    });
    is_address.then_some(email)
}

/// Trimmed and in lower case.
pub(super) fn normalise(value: &str) -> String {
    value.trim().to_lowercase()
}

/// SHA-256 of the normalised value, in hexadecimal.
pub(super) fn hashed(value: &str) -> String {
    Sha256::digest(normalise(value)).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A phone number in the form +49301234567. `None` if it has no country code.
pub(super) fn international(phone: &str) -> Option<String> {
    // The 0 in +49 (0)30 is dialled within the country only.
    let written: String = phone
        .replace("(0)", "")
        .chars()
        .filter(|c| !c.is_whitespace() && !"()-./".contains(*c))
        .collect();
    let digits = written.strip_prefix('+').or_else(|| written.strip_prefix("00"))?;
    let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_need_a_country_code() {
        assert_eq!(international("+49 (30) 123-4567").as_deref(), Some("+49301234567"));
        assert_eq!(international("0049 (0)30 1234567").as_deref(), Some("+49301234567"));
        assert_eq!(international("0049301234567").as_deref(), Some("+49301234567"));
        assert_eq!(international("030 1234567"), None);
        assert_eq!(international("+49 30 CALL"), None);
        assert_eq!(international("+1234"), None);
    }

    #[test]
    fn addresses_have_a_mailbox_and_a_domain() {
        assert_eq!(address(" Rosa.W@Mail.example ").as_deref(), Some("rosa.w@mail.example"));
        for text in ["a b@x.de", "a@x.de;b@x.de", "rosa <r@x.de>", "mailto:a@x.de", "a@x.de."] {
            assert_eq!(address(text), None, "{text}");
        }
        for text in ["a..b@x.de", "a@-x.de", "a@x", "@x.de", "a@x@y.de,"] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn hashes_are_of_trimmed_lower_case_text() {
        // printf %s jane@example.com | sha256sum
        let expected = "8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d";
        assert_eq!(hashed(" Jane@Example.com "), expected);
    }
}
