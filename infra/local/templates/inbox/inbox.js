// Keeps the list fresh while somebody looks at it. Without this script, loading the page again does the same.
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [fresh, shown] = [page, document].map((from) => from.getElementById("mails"));
    if (fresh && fresh.innerHTML !== shown.innerHTML) {
      const top = shown.scrollTop;
      const focused = shown.contains(document.activeElement) && document.activeElement.getAttribute("href");
      document.title = page.title;
      shown.innerHTML = fresh.innerHTML;
      shown.scrollTop = top;
      if (focused) shown.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  } catch {
    // Bursar is not running just now; the next try may find it.
  }
}
setInterval(refresh, 3000);
document.addEventListener("visibilitychange", refresh);
