//! The routing of an HTTP API: API Gateway's rules for the function that a request goes to.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use http::Method;

use crate::base::function::FunctionName;

pub(super) struct Routes(Vec<Route>);

struct Route {
    /// The route key in the event.
    key: String,
    method: Option<Method>,
    /// The segments of the path; `None` for `$default`.
    segments: Option<Vec<Segment>>,
    function: FunctionName,
}

enum Segment {
    Literal(String),
    /// A variable for one segment: `{name}`.
    One(String),
    /// A variable for the rest of the path: `{name+}`.
    Rest(String),
}

/// A route that matches a request.
pub(super) struct Found<'a> {
    pub(super) function: FunctionName,
    pub(super) key: &'a str,
    pub(super) parameters: BTreeMap<String, String>,
}

impl Routes {
    pub(super) fn read(routes: &[(&str, FunctionName)]) -> Result<Routes> {
        let routes = routes.iter().map(|(pattern, function)| Route::read(pattern, *function));
        routes.collect::<Result<_>>().map(Routes)
    }

    /// The best route: one that matches exactly goes before a greedy one, and that before `$default`.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Found<'_>> {
        let fitting = self.0.iter().filter_map(|route| {
            let parameters = route.parameters(method, path)?;
            Some((route, parameters))
        });
        let (route, parameters) = fitting.max_by_key(|(route, _)| route.rank())?;
        Some(Found { function: route.function, key: &route.key, parameters })
    }
}

impl Route {
    fn read(pattern: &str, function: FunctionName) -> Result<Route> {
        if pattern == "$default" {
            return Ok(Route { key: pattern.to_owned(), method: None, segments: None, function });
        }
        let (method, path) = pattern.split_once(' ').unwrap_or(("ANY", pattern));
        let Some(segments) = path.strip_prefix('/') else {
            bail!("`{pattern}` is no route");
        };
        let segments = segments.split('/').map(|segment| {
            let name = segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
            match name.map(|name| name.strip_suffix('+').ok_or(name)) {
                Some(Ok(name)) => Segment::Rest(name.to_owned()),
                Some(Err(name)) => Segment::One(name.to_owned()),
                None => Segment::Literal(segment.to_owned()),
            }
        });
        Ok(Route {
            key: format!("{method} {path}"),
            method: if method == "ANY" { None } else { Some(method.parse()?) },
            segments: Some(segments.collect()),
            function,
        })
    }

    /// The path's parameters, if the route matches.
    fn parameters(&self, method: &Method, path: &str) -> Option<BTreeMap<String, String>> {
        if self.method.as_ref().is_some_and(|wanted| wanted != method) {
            return None;
        }
        let mut parameters = BTreeMap::new();
        let Some(segments) = &self.segments else {
            return Some(parameters);
        };
        let mut rest = Some(path.strip_prefix('/')?);
        for segment in segments {
            let (first, after) = match rest?.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (rest?, None),
            };
            match segment {
                Segment::Literal(literal) if literal == first => {}
                Segment::One(name) if !first.is_empty() => {
                    parameters.insert(name.clone(), first.to_owned());
                }
                Segment::Rest(name) if !rest?.is_empty() => {
                    parameters.insert(name.clone(), rest?.to_owned());
                    return Some(parameters);
                }
                _ => return None,
            }
            rest = after;
        }
        rest.is_none().then_some(parameters)
    }

    fn rank(&self) -> (bool, bool, usize, bool) {
        let segments = self.segments.as_deref().unwrap_or_default();
        let greedy = segments.iter().any(|segment| matches!(segment, Segment::Rest(_)));
        let literals = segments.iter().filter(|segment| matches!(segment, Segment::Literal(_)));
        (self.segments.is_some(), !greedy, literals.count(), self.method.is_some())
    }
}
