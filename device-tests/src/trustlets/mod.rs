//! Trustlets on any device: simulated in `cargo test`, real in QEMU.

pub mod anything;
pub mod bank;
pub mod examples;
pub mod hostile;
pub mod life;
pub mod modules;
pub mod network;

use crate::Outcome;
use tapvault::Transport;

/// A scenario by name; it makes transports of the same user.
pub struct Scenario<T: Transport> {
    /// Its name.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&dyn Fn() -> T) -> Outcome<()>,
}

/// Every scenario.
#[must_use]
pub fn all<T: Transport>() -> Vec<Scenario<T>> {
    macro_rules! scenarios {
        ($($module:ident::$name:ident),* $(,)?) => {
            vec![$(Scenario { name: stringify!($name), run: $module::$name::<T> }),*]
        };
    }
    scenarios![
        life::a_trustlet_answers_and_survives_a_new_session,
        life::a_manifest_is_signed_by_its_provider_and_never_goes_back,
        life::commands_move_a_trustlet_through_its_life_once,
        life::a_removed_trustlet_leaves_nothing,
        life::only_the_module_that_was_signed_runs,
        life::only_clients_in_the_manifest_open_it,
        life::a_manifest_asks_for_no_more_than_the_policy_gives,
        life::a_call_runs_in_slices_and_can_be_cancelled,
        life::fuel_ends_a_call_for_good,
        hostile::a_guest_that_traps_fails_alone,
        hostile::a_pointer_outside_memory_is_refused,
        hostile::a_service_outside_the_manifest_is_refused,
        hostile::a_foreign_handle_names_nothing,
        hostile::a_flood_ends_at_the_quota,
        hostile::modules_beyond_the_rules_are_refused,
        hostile::guests_leave_no_memory_behind,
        network::a_message_goes_where_both_manifests_allow,
        network::a_full_mailbox_and_a_missing_receiver_are_named,
        examples::a_transfer_is_signed_after_it_was_confirmed,
        examples::a_stored_value_card_loads_and_pays,
        examples::the_secure_element_answers_through_its_channel,
    ]
}
