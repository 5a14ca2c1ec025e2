//! A recorder in the place of functions, for tests: it runs none, records the calls and answers as the test
//! wants.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::aws::invoke::{Invoke, InvokeError};
use crate::base::function::FunctionName;

type Answer = dyn Fn(FunctionName, Value) -> BoxFuture<'static, Result<Value, InvokeError>> + Send + Sync;

pub(crate) struct Recorder {
    answer: Box<Answer>,
    calls: Mutex<Vec<(FunctionName, Value)>>,
    count: watch::Sender<usize>,
}

impl Recorder {
    /// A recorder that answers everything with `{}`.
    pub(crate) fn new() -> Recorder {
        Recorder::answering(|_, _| Ok(json!({})))
    }

    pub(crate) fn answering(
        answer: impl Fn(FunctionName, &Value) -> Result<Value, InvokeError> + Send + Sync + 'static,
    ) -> Recorder {
        Recorder::answering_later(move |function, event| std::future::ready(answer(function, &event)).boxed())
    }

    pub(crate) fn answering_later(
        answer: impl Fn(FunctionName, Value) -> BoxFuture<'static, Result<Value, InvokeError>> + Send + Sync + 'static,
    ) -> Recorder {
        Recorder { answer: Box::new(answer), calls: Mutex::default(), count: watch::channel(0).0 }
    }

    pub(crate) fn calls(&self) -> Vec<(FunctionName, Value)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn calls_of(&self, function: FunctionName) -> Vec<Value> {
        let calls = self.calls().into_iter().filter(|(called, _)| *called == function);
        calls.map(|(_, event)| event).collect()
    }

    /// Waits for this number of calls, and fails the test if they do not come.
    pub(crate) async fn called(&self, times: usize) {
        let mut count = self.count.subscribe();
        let enough = tokio::time::timeout(Duration::from_secs(20), count.wait_for(|count| *count >= times));
        enough.await.expect("called in time").unwrap();
    }
}

impl Invoke for Recorder {
    fn invoke(&self, function: FunctionName, event: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push((function, event.clone()));
        self.count.send_modify(|count| *count += 1);
        (self.answer)(function, event)
    }
}
