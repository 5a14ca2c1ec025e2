// New mails come in at the top. Nothing that is there goes away, so a selection stays.
setInterval(async () => {
  const answer = await fetch(location.href);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const rows = document.querySelector("tbody");
  const fresh = [...page.querySelectorAll("tbody tr")].filter((row) => !document.getElementById(row.id));
  rows.prepend(...fresh);
}, 5000);
