//! Reading the accounts that the daemon keeps.

use std::cmp::Reverse;

use clap::ValueEnum;

use super::{Context, Failure, Result};
use crate::{
    accounts::{self, Document},
    datapath::{Gateway, GatewayName},
    view::{AccountView, AccountsView, CostListView},
};

/// What to take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// By inside host
    #[default]
    Host,
    /// By destination
    Destination,
    /// By the rule that admits the flow
    Rule,
}

/// What to sort by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Column {
    /// Bytes of both directions
    #[default]
    Bytes,
    /// Bytes that inside sent
    Out,
    /// Bytes that outside sent
    In,
    /// What it cost
    Cost,
    /// Live flows
    Flows,
    /// The name
    Name,
}

/// What the daemon wrote down; `None` if there never was one.
pub(super) fn document(context: &Context, name: &GatewayName) -> Result<Option<Document>> {
    Ok(accounts::read(&accounts::default_directory(&context.bpffs, name))?)
}

pub(super) fn list(
    context: &Context,
    gateway: &Gateway,
    by: By,
    sort: Column,
) -> Result<CostListView> {
    let name = gateway.name();
    let document = document(context, name)?.ok_or_else(|| {
        Failure::operation(format!(
            "there are no accounts of gateway {name}; 'eigw run' keeps them"
        ))
    })?;
    let AccountsView { name, cost, hosts, destinations, rules } =
        AccountsView::new(name, &document, usize::MAX);
    let (by, mut list) = match by {
        By::Host => ("host", hosts),
        By::Destination => ("destination", destinations),
        By::Rule => ("rule", rules),
    };
    order(&mut list.accounts, sort);
    Ok(CostListView { name, by, cost, list })
}

fn order(accounts: &mut [AccountView], sort: Column) {
    accounts.sort_by(|left, right| left.name.cmp(&right.name));
    let key = |account: &AccountView| {
        let count = &account.count;
        Reverse(match sort {
            Column::Bytes => count.bytes_out.saturating_add(count.bytes_in),
            Column::Out => count.bytes_out,
            Column::In => count.bytes_in,
            Column::Flows => count.flows,
            Column::Cost | Column::Name => 0,
        })
    };
    match sort {
        Column::Cost => accounts.sort_by(|left, right| {
            let cost = |account: &AccountView| account.count.cost.unwrap_or_default();
            cost(right).total_cmp(&cost(left))
        }),
        Column::Bytes | Column::Out | Column::In | Column::Flows | Column::Name => {
            accounts.sort_by_key(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::CountView;

    #[test]
    fn the_greatest_come_first_and_names_in_order() {
        let account = |name: &str, bytes_out, bytes_in, cost| {
            let count = CountView { bytes_out, bytes_in, cost: Some(cost), ..CountView::default() };
            AccountView { name: name.to_owned(), count }
        };
        let mut accounts =
            [account("b", 1, 9, 0.5), account("a", 5, 2, 0.1), account("c", 1, 1, 0.9)];
        for (sort, expected) in [
            (Column::Bytes, "bac"),
            (Column::Out, "abc"),
            (Column::In, "bac"),
            (Column::Cost, "cba"),
            (Column::Name, "abc"),
            (Column::Flows, "abc"),
        ] {
            order(&mut accounts, sort);
            let names: String = accounts.iter().map(|account| account.name.as_str()).collect();
            assert_eq!(names, expected, "{sort:?}");
        }
    }
}
