//! The HTTP API as the template writes it out: the function that a route leads to, through its integration.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::document::{Integration, Route as WrittenRoute};
use super::{FunctionName, Route};

/// Functions, integrations and routes by their names in the template.
#[derive(Default)]
pub(super) struct HttpApi {
    pub(super) functions: BTreeMap<String, FunctionName>,
    pub(super) integrations: BTreeMap<String, Integration>,
    pub(super) routes: BTreeMap<String, WrittenRoute>,
}

impl HttpApi {
    pub(super) fn routes(&self) -> Result<Vec<Route>> {
        let routes = self.routes.iter();
        routes.map(|(name, written)| self.route(written).with_context(|| name.clone())).collect()
    }

    fn route(&self, written: &WrittenRoute) -> Result<Route> {
        let target = &written.target.text;
        let name = target.strip_prefix("integrations/${").and_then(|rest| rest.strip_suffix('}'));
        let integration = name.and_then(|name| self.integrations.get(name));
        let integration = integration.with_context(|| format!("the Target {target} is no integration"))?;
        ensure!(integration.payload_format_version == "2.0", "PayloadFormatVersion is not 2.0");
        let (of, attribute) = &integration.integration_uri.of;
        let function = self.functions.get(of).filter(|_| attribute == "Arn");
        let function = function.with_context(|| format!("{of}.{attribute} is no function's Arn"))?;
        Ok(Route { key: written.route_key.clone(), function: *function })
    }
}
