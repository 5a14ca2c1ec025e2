//! What both HTTP functions need: an API Gateway event in, a page with its headers out. What the
//! pages are for belongs to the functions.
//!
//! # What a flood meets
//!
//! A request first meets the rate of its route. `/link`, `/code`, `/c/*` and those of a sign-on
//! have rates of their own in `template.yaml`, so a flood there uses up the rate of nobody who is
//! signed in.
//!
//! Such a rate is one for everybody: above it the gateway turns away a part of all, with a 429 of
//! its own. An HTTP API can tell apart no addresses; whoever needs that puts CloudFront with a web
//! ACL before the domain.
//!
//! A form is read to a bound before anything is looked up ([`form`]): 16 fields and 8 KiB without a
//! session, 2,048 and 512 KiB with one. A roster may have 4 MB. Names of fields are told apart in
//! linear time.
//!
//! What cannot become a request, such as a stray byte in a query, gets the page for it
//! ([`gateway`]). A stray cookie of another site hides nobody's session. A panic ends its own
//! request or event and says where, never what.
//!
//! What may be done so often in a while is counted first
//! ([`use_hourly`](crate::store::Table::use_hourly)). Beyond the bound it is refused, with the time
//! after which it may be done again.

pub mod error;
mod file;
pub mod flash;
pub mod form;
mod gateway;
mod layers;
mod page;
mod reply;
pub mod session;
pub mod site;
mod source;

pub use error::AppError;
pub use file::{FileNames, FileRequest, Recorded};
pub use flash::Flash;
pub use form::Fields;
pub use gateway::Pages;
pub use page::{Frame, forms_script, stylesheet};
pub use reply::{Answer, Reply, Result};
pub use session::{Destination, Posted, Visitor, redirect_other_method};
pub use site::Site;
pub use source::Source;
