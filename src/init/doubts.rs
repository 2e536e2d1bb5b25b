//! What a sample says about returns, states and repetitions, and what it leaves open.

use super::layouts::Layout;
use super::roles;
use super::writer::Writer;
use super::yaml::{quoted, sql_name};
use crate::columns::{AMOUNT, CURRENCY, CUSTOMER_ID, ORDER_ID, QUANTITY, UNIT_PRICE};
use crate::ingest::guess;

/// States of orders that were not bought.
const NOT_BOUGHT: [&str; 12] = [
    "cancel",
    "void",
    "fail",
    "declin",
    "pending",
    "unavailable",
    "storn",
    "annul",
    "abgebroch",
    "draft",
    "expired",
    "reject",
];

/// States of orders or rows that give money back.
const RETURNED: [&str; 4] = ["refund", "return", "chargeback", "erstatt"];

impl Writer<'_> {
    /// Asks what changes the numbers and cannot be seen in one row.
    pub(super) fn doubts(&mut self, names: &[&str], own: &impl Fn(&str) -> Option<String>) {
        let role = |ours: &str| match roles::column(ours, names) {
            Some((name, true)) => Some(name),
            _ => None,
        };
        if let Some(amount) = own(AMOUNT)
            && let Some(price) = role(UNIT_PRICE)
            && role(QUANTITY).is_none()
        {
            self.ask_money(format!(
                "`{amount}` may be a number of units, since there is a `{price}`: `amount`, or `quantity` and \
                 `unit_price`?"
            ));
        }
        if let (Some(quantity), Some(price)) = (own(QUANTITY), own(UNIT_PRICE))
            && let Some(total) = role(AMOUNT)
            && self.sample.products_differ(&quantity, &price, total)
        {
            self.ask_money(format!(
                "`{quantity}` times `{price}` is not `{total}`: map `amount: {}` instead, if it is the line's?",
                quoted(total)
            ));
        }
        let amounts = roles::amounts(names);
        if own(AMOUNT).is_some() && amounts.len() > 1 {
            self.ask_money(format!("which of {} is the money that was paid?", amounts.join(", ")));
        }
        if let (Some(order), Some(amount)) = (own(ORDER_ID), own(AMOUNT))
            && self.sample.is_constant_in(&order, &amount)
        {
            self.ask_money(format!(
                "`{amount}` is the same on all rows of an order: if it is the order's, `clean: \
                 [drop_duplicates: {{ by: [order_id] }}]` counts it once"
            ));
        }
        match own(ORDER_ID) {
            None => self.rest.push(
                "  # No order id is known: an order is all that a customer buys on one day."
                    .to_owned(),
            ),
            Some(order) => {
                if let Some(example) = self.sample.in_both_files(&order) {
                    self.questions.push(format!(
                        "order {example} is in the first and in the last file: do the files overlap? \
                         Then `drop_duplicates` with the columns that name a line counts it once"
                    ));
                    self.clean.push(
                        "  - drop_duplicates: TODO   # TODO: the first and the last file share orders"
                            .to_owned(),
                    );
                }
                if let Some(customer) = own(CUSTOMER_ID)
                    && let Some(example) = self.sample.shared(&order, &customer)
                {
                    self.questions.push(format!(
                        "order {example} has several customers: are numbers unique only per store or day? \
                         Then `order_id: \"store || '-' || {}\"`",
                        sql_name(&order)
                    ));
                    self.clean.push(
                        "  - where: TODO   # TODO: orders are shared by customers".to_owned(),
                    );
                }
            }
        }
        let repeated = self.sample.count_equal_rows();
        if repeated > 0 {
            self.questions.push(format!(
                "{repeated} sampled rows equal another one in all columns: remove them (`drop_duplicates: \
                 exact`) or count them (delete the line)?"
            ));
            self.clean
                .push("  - drop_duplicates: TODO   # TODO: `exact`, or no such step".to_owned());
        }
        self.refunds(names, own);
        if let Some(customer) = own(CUSTOMER_ID) {
            self.guests(&customer);
        }
    }

    /// Asks about columns of money that was given back.
    fn refunds(&mut self, names: &[&str], own: &impl Fn(&str) -> Option<String>) {
        let Some(amount) = own(AMOUNT) else { return };
        let is_refund = |name: &&&str| {
            let values = self.sample.values(name);
            let has_value =
                values.iter().any(|value| value.contains(|c: char| ('1'..='9').contains(&c)));
            let words = [&RETURNED[..], &["rembours", "reembols", "rimbors", "terugbet"]].concat();
            words.iter().any(|word| name.to_lowercase().contains(word))
                && has_value
                && guess::numbers(&values).is_some()
        };
        if let Some(refund) = names.iter().filter(|name| **name != amount).find(is_refund) {
            let sql = format!("{} - coalesce({}, 0)", sql_name(&amount), sql_name(refund));
            self.ask_money(format!(
                "`{refund}` may be money that was given back: `amount: {}` subtracts it",
                quoted(&sql)
            ));
        }
    }

    /// Asks about a customer with a tenth of the rows: shops give their guests one number.
    fn guests(&mut self, customer: &str) {
        const FEWEST_ROWS: usize = 50;
        const FEWEST_CUSTOMERS: usize = 20;
        let rows = self.sample.cells.height();
        let customers = self.sample.values(customer).len();
        let Some((id, count)) = self.sample.most_frequent(customer) else { return };
        if rows >= FEWEST_ROWS && customers >= FEWEST_CUSTOMERS && count * 10 > rows {
            self.questions.push(format!(
                "customer `{id}` has {count} of {rows} sampled rows: does it stand for guests? Then \
                 `null_values: [{}]` leaves them out",
                serde_json::Value::from(id.as_str())
            ));
            let line =
                "  - where: TODO   # TODO: answer the question about guests, and remove this line";
            self.clean.push(line.to_owned());
        }
    }

    /// The currency of the money, or a question about several.
    pub(super) fn currency(&mut self, own: &impl Fn(&str) -> Option<String>) {
        let Some(currency) = own(CURRENCY) else { return };
        match self.sample.values(&currency).as_slice() {
            [only] => self.money.push(format!("currency: {}", quoted(&only.to_uppercase()))),
            several => {
                self.questions.push(format!(
                    "money is in {}: `money: {{ currency, rates }}` converts it",
                    several.join(", ")
                ));
                self.money.push("currency: TODO, rates: TODO".to_owned());
            }
        }
    }

    fn ask_money(&mut self, question: String) {
        self.questions.push(question);
        let line =
            "  - where: TODO   # TODO: answer the question about money, and remove this line";
        if !self.clean.iter().any(|known| known == line) {
            self.clean.push(line.to_owned());
        }
    }

    /// Proposes how negative lines are treated.
    pub(super) fn returns(
        &mut self,
        own: &impl Fn(&str) -> Option<String>,
        ours: &str,
        layout: &Layout,
    ) {
        if layout.is_complete() {
            self.clean.extend(layout.clean().iter().map(|step| format!("  - {step}")));
            return;
        }
        let Some(column) = own(ours) else { return };
        let is_negative =
            |value: &str| value.starts_with(['-', '(', '\u{2212}']) || value.ends_with('-');
        let negative = self.sample.count(&column, is_negative);
        if negative == 0 {
            return;
        }
        let prefix = own(ORDER_ID).and_then(|orders| self.prefix(&orders, &column, is_negative));
        let rule = match prefix {
            Some(prefix) => format!("{{ order_id_prefix: {prefix}, policy: net }}"),
            None => format!("{{ when: {ours} < 0, policy: net }}"),
        };
        self.clean.push(format!(
            "  - cancellations: {rule}   # guess: {negative} sampled rows are negative; `net` subtracts them"
        ));
    }

    /// The letter that begins the ids of negative rows, and of no others.
    fn prefix(
        &self,
        orders: &str,
        amounts: &str,
        is_negative: impl Fn(&str) -> bool,
    ) -> Option<char> {
        let texts = |name: &str| Some(self.sample.cells.column(name).ok()?.str().ok()?.clone());
        let (orders, amounts) = (texts(orders)?, texts(amounts)?);
        let (mut of_negative, mut of_others) = (Vec::new(), Vec::new());
        for (order, amount) in orders.iter().zip(amounts.iter()) {
            let (Some(order), Some(amount)) = (order, amount) else { continue };
            let list = if is_negative(amount.trim()) { &mut of_negative } else { &mut of_others };
            list.extend(order.trim().chars().next());
        }
        let first = *of_negative.first()?;
        let is_prefix = first.is_alphabetic()
            && of_negative.iter().all(|letter| *letter == first)
            && !of_others.contains(&first);
        is_prefix.then_some(first)
    }

    /// Keeps the newest row of an order that is written anew whenever it changes.
    pub(super) fn versions(
        &mut self,
        names: &[&str],
        own: &impl Fn(&str) -> Option<String>,
    ) -> bool {
        let Some((changed, order)) = roles::changed_at(names).zip(own(ORDER_ID)) else {
            return false;
        };
        let repeated = self.sample.count_repeated(&order);
        // Lines of one order have the same time of change, its changes have not.
        let pairs = self.sample.count_repeated_pairs(&order, changed);
        if repeated > 0 && pairs == 0 {
            self.clean.push(format!(
                "  - drop_duplicates: {{ by: [order_id], keep: last, order_by: {} }}   # guess: {repeated} \
                 rows are changes of an order",
                quoted(changed)
            ));
        }
        repeated > 0 && pairs == 0
    }

    /// Leaves out orders that were not bought.
    ///
    /// Returns the predicate of the rows that count, and a comment.
    pub(super) fn status(&mut self, names: &[&str], layout: &Layout) -> Option<(String, String)> {
        if let Some(filter) = layout.filter() {
            let counts = roles::status(names).map(|column| self.sample.counts(column));
            let counts = counts.unwrap_or_default().join(", ");
            let comment =
                format!("guess: the others count, with the money that was kept; sampled: {counts}");
            return Some((filter.to_owned(), comment));
        }
        let Some(column) = roles::status(names) else {
            let flag = names.iter().find(|name| roles::is_flag_of_return(name))?;
            self.questions.push(format!(
                "`{flag}`: which rows are left out, or negative money? `where` names the rows that count"
            ));
            return Some(("TODO".to_owned(), format!("TODO: `{flag}` may give money back")));
        };
        let mut states = self.sample.values(column);
        states.sort_unstable();
        if states.len() > 20 {
            return None;
        }
        let list = |words: &[&str]| -> Vec<String> {
            let has = |state: &&&str| words.iter().any(|word| state.to_lowercase().contains(word));
            let quoted = |state: &&str| format!("'{}'", state.replace('\'', "''"));
            states.iter().filter(has).map(quoted).collect()
        };
        let name = sql_name(column);
        let returned = list(&RETURNED);
        let out = list(&NOT_BOUGHT);
        if !returned.is_empty() {
            let some = [returned.clone(), out].concat().join(", ");
            let filter = quoted(&format!("{name} NOT IN ({some})"));
            let is_return = quoted(&format!("{name} IN ({})", returned.join(", ")));
            self.questions.push(format!(
                "`{column}` is {some} in some rows: leave them out with `where: {filter}`? If a row of a \
                 return comes besides that of its purchase, make its money negative by `CASE WHEN` in the \
                 mapping, with `clean: [cancellations: {{ when: {is_return}, policy: net }}]`"
            ));
            let comment = format!("TODO: rows that give money back, for example {filter}");
            return Some(("TODO".to_owned(), comment));
        }
        let filter = || format!("{name} IS NULL OR {name} NOT IN ({})", out.join(", "));
        let comment = "guess: orders that were not bought are left out".to_owned();
        (!out.is_empty()).then(|| (filter(), comment))
    }
}
