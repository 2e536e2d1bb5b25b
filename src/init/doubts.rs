//! What a sample says about returns, states and repetitions, and what it leaves open.

use super::layouts::Layout;
use super::roles;
use super::writer::Writer;
use super::yaml::{quoted, sql_name};
use crate::columns::{AMOUNT, CURRENCY, CUSTOMER_ID, ORDER_ID, QUANTITY, UNIT_PRICE};

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
        if let Some(currency) = own(CURRENCY) {
            match self.sample.values(&currency).as_slice() {
                [only] => self.rest.push(format!("  money: {{ currency: {} }}", quoted(only))),
                several => {
                    self.questions.push(format!(
                        "money is in {}: `money: {{ currency, rates }}` converts it",
                        several.join(", ")
                    ));
                    let line = "  money: { currency: TODO, rates: TODO }   # TODO: a file of exchange rates";
                    self.rest.push(line.to_owned());
                }
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
    pub(super) fn status(&mut self, names: &[&str], layout: &Layout) -> Option<String> {
        if let Some(filter) = layout.filter() {
            return Some(filter.to_owned());
        }
        let Some(column) = roles::status(names) else {
            let flag = names.iter().find(|name| roles::is_flag_of_return(name))?;
            self.questions.push(format!(
                "`{flag}`: which rows are left out, or negative money? `where` names the rows that count"
            ));
            return Some("TODO".to_owned());
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
            self.questions.push(format!(
                "`{column}` is {} in some rows: are they left out (`where: {name} NOT IN (…)`), or negative \
                 money (`amount: CASE WHEN {name} IN (…) THEN -amount ELSE amount END` and `clean: \
                 [cancellations: {{ when: {name} IN (…), policy: net }}]`)?",
                [returned, out].concat().join(", ")
            ));
            return Some("TODO".to_owned());
        }
        (!out.is_empty()).then(|| format!("{name} IS NULL OR {name} NOT IN ({})", out.join(", ")))
    }
}
