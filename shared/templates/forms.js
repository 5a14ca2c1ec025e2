// Every page works without this. With it one press is one request: until the page is shown again, nothing more is posted from it,
// since the browser would drop the answer to the first, and that may be the only page that shows a key.
"use strict";
{
  // A refused form is read from what is wrong with it.
  (document.querySelector(".errors") ?? document.querySelector("[aria-invalid=true]"))?.focus();

  const told = document.createElement("p");
  told.className = "sent";
  told.setAttribute("role", "status");
  document.body.append(told);
  // Every request is answered before that, in milliseconds.
  const LONGEST = 35000;
  let pressed = null;
  let late;

  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.getAttribute("method")?.toLowerCase() !== "post") return;
    // After a download the page stays as it is.
    if (event.target.dataset.answer === "file") return;
    if (pressed) {
      event.preventDefault();
      return;
    }
    pressed = event.submitter ?? event.target.querySelector("[type=submit]") ?? event.target;
    // A button that is disabled outright would lose the keyboard, and its own value would not be sent.
    pressed.setAttribute("aria-disabled", "true");
    told.textContent = "Sent. One moment, please.";
    late = setTimeout(() => {
      told.textContent = "No answer came. Reload the page and see what happened.";
    }, LONGEST);
  });

  // The way back may show this very page, as it was left.
  addEventListener("pageshow", (event) => {
    if (!event.persisted || !pressed) return;
    pressed.removeAttribute("aria-disabled");
    pressed = null;
    clearTimeout(late);
    told.textContent = "";
  });
}
