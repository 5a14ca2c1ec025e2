// The page that shows a key works without this. With it, the key is copied on a press and wiped when the page is left.
"use strict";
const key = document.querySelector('[data-testid="key"]');
const button = document.getElementById("copy");
const copied = document.getElementById("copied");

button.hidden = false;
button.addEventListener("click", () => {
  const range = document.createRange();
  range.selectNodeContents(key);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  // The page allows itself no access to the clipboard but this one, which a press on the button permits.
  const done = document.execCommand("copy");
  copied.textContent = done ? "Copied." : "It is selected: copy it by keyboard.";
  if (done) selection.removeAllRanges();
});

addEventListener("pagehide", () => {
  key.textContent = "";
});
