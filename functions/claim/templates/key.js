// The pages with a key or with examples work without this. With it, each is copied at a press, and a key is wiped when its page is left.
"use strict";
{
  const told = document.createElement("p");
  told.id = "copied";
  told.className = "sent";
  told.setAttribute("role", "status");
  document.body.append(told);

  const key = document.querySelector('[data-testid="key"]');
  for (const text of document.querySelectorAll('[data-testid="key"], pre > code')) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = text === key ? "" : "secondary";
    button.textContent = text === key ? "Copy the key" : "Copy";
    button.addEventListener("click", () => {
      const range = document.createRange();
      range.selectNodeContents(text);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      // The page allows itself no access to the clipboard but this one, which a press on the button permits.
      const done = document.execCommand("copy");
      told.textContent = done ? "Copied." : "The key is selected: copy it with the keyboard.";
      if (done) selection.removeAllRanges();
    });
    if (text === key) text.after(button);
    else text.before(button);
  }

  addEventListener("pagehide", () => {
    if (key) key.textContent = "";
  });
}
