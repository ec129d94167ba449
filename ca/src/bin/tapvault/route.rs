//! `tapvault route`: where cards answer terminals from, which is the first, which app presents them.

use crate::output::{Failure, Output, hex, id};
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use tapvault::{Transport, Wallet};
use tapvault_proto::{
    id::{Caller, CardId, login},
    profile::Product,
    route::{self, RoutesReply},
};

/// Routes. Every change takes the verification of `tapvault pin verify CARD`.
#[derive(Subcommand)]
pub enum Command {
    /// Shows them.
    List,
    /// Routes the cards of a kind to the TEE or to the secure element.
    Aid {
        /// The kind of card.
        kind: Kind,
        /// Where its application answers from.
        endpoint: Endpoint,
        /// A card whose PIN was verified, any of the phone's.
        #[arg(value_parser = id)]
        card: [u8; 16],
    },
    /// Makes a card the first that terminals see.
    Card {
        /// The card, whose PIN was verified.
        #[arg(value_parser = id)]
        card: [u8; 16],
        /// Leaves the order to the banks instead.
        #[arg(long)]
        none: bool,
    },
    /// Lets the user or group of this process alone present cards.
    App {
        /// A card whose PIN was verified, any of the phone's.
        #[arg(value_parser = id)]
        card: [u8; 16],
        /// Lets whoever brings the PIN present cards instead.
        #[arg(long)]
        none: bool,
    },
}

/// A kind of card, by its AID.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// A000000333010101.
    Debit,
    /// A000000333010102.
    Credit,
    /// A000000333010103.
    QuasiCredit,
}

impl From<Kind> for Product {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Debit => Self::Debit,
            Kind::Credit => Self::Credit,
            Kind::QuasiCredit => Self::QuasiCredit,
        }
    }
}

/// Where an application answers from.
#[derive(Clone, Copy, ValueEnum)]
pub enum Endpoint {
    /// The trusted app.
    Tee,
    /// The secure element.
    Element,
}

impl From<Endpoint> for route::Endpoint {
    fn from(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Tee => Self::Tee,
            Endpoint::Element => Self::Element,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// The trusted app's refusal.
pub fn run<T: Transport>(command: Command, wallet: &mut Wallet<T>, output: &Output) -> Result<(), Failure> {
    let routes = match command {
        Command::List => wallet.routes()?,
        Command::Aid { kind, endpoint, card } => wallet.route(CardId(card), kind.into(), endpoint.into())?,
        Command::Card { card, none } => wallet.choose_card(CardId(card), !none)?,
        Command::App { card, none } => wallet.choose_app(CardId(card), !none)?,
    };
    show(&routes, output);
    Ok(())
}

fn show(routes: &RoutesReply, output: &Output) {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for product in Product::ALL {
        let endpoint = if routes.element.contains(&product) { "secure element" } else { "TEE" };
        let aid = hex(&product.aid());
        rows.push(json!({ "aid": aid, "endpoint": endpoint }));
        lines.push(format!("{aid}  {endpoint}"));
    }
    let card = routes.card.map(|card| card.to_string());
    let app = routes.app.as_ref().map(app);
    lines.push(format!("default card: {}", card.as_deref().unwrap_or("by the banks' priority")));
    lines.push(format!("default app:  {}", app.as_deref().unwrap_or("the one that brings the PIN")));
    lines.push(format!("this app presents cards now: {}", if routes.presents { "yes" } else { "no" }));
    output.show(
        &json!({ "aids": rows, "default_card": card, "default_app": app, "presents": routes.presents }),
        &lines.join("\n"),
    );
}

fn app(caller: &Caller) -> String {
    let kind = match caller.login {
        login::USER => "user",
        login::GROUP => "group",
        login::PUBLIC => "anybody",
        _ => "trusted app",
    };
    format!("{kind} {}", caller.uuid)
}
