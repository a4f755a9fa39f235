// Keeps the page up to date: whenever /events tells of something, the page is fetched anew, and what differs is
// replaced in place. Nothing is built from data here, so a name can never become markup.

"use strict";

// Between two fetches there is a pause of so many times what the last one took, and never less than LEAST_PAUSE.
const PAUSE_FACTOR = 4;
const LEAST_PAUSE = 100;
// When the gate has turned us away, or is not there.
const COME_AGAIN = 5000;

const page = document.getElementById("page");
const link = document.getElementById("link");
const said = document.getElementById("said");

let wanted = false;
let fetching = false;

function show(look, text) {
  link.className = look;
  if (link.textContent !== text) link.textContent = text;
}

// Makes `old` like `fresh` without touching what is alike already, so that focus, selection and what is opened stay.
function become(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(document.importNode(fresh, true));
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
  } else if (old.nodeType === Node.ELEMENT_NODE) {
    becomeElement(old, fresh);
  }
}

function becomeElement(old, fresh) {
  for (const { name } of [...old.attributes]) {
    // Whether details are open is up to the reader.
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  becomeChildren(old, [...fresh.childNodes]);
}

// A line that comes or goes moves what stands below it: that is still the same, and stays.
function becomeChildren(old, wantedChildren) {
  let surplus = wantedChildren.length - old.childNodes.length;
  let next = old.firstChild;
  for (const child of wantedChildren) {
    while (surplus < 0 && next && next.nodeName !== child.nodeName) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
      surplus += 1;
    }
    if (!next || (surplus > 0 && next.nodeName !== child.nodeName)) {
      old.insertBefore(document.importNode(child, true), next);
      surplus -= 1;
    } else {
      const after = next.nextSibling;
      become(next, child);
      next = after;
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

async function refresh() {
  wanted = true;
  if (fetching || document.hidden) return;
  fetching = true;
  while (wanted && !document.hidden) {
    wanted = false;
    const begin = performance.now();
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      become(page, fresh.getElementById("page"));
      document.title = fresh.title;
    } catch {
      // The stream of events tells that the gate is gone, and when it is back.
    }
    const took = performance.now() - begin;
    await new Promise((done) => setTimeout(done, Math.max(LEAST_PAUSE, took * PAUSE_FACTOR)));
  }
  fetching = false;
}

function listen() {
  const events = new EventSource("events");
  events.onopen = () => show("live", "live");
  events.onerror = () => {
    show("lost", "not connected: what is shown may be old");
    // The browser tries again by itself, unless it was turned away.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, COME_AGAIN);
  };
  events.addEventListener("status", refresh);
  events.addEventListener("change", (event) => {
    const change = JSON.parse(event.data);
    said.textContent = `${change.cluster}: ${change.message}`;
    refresh();
  });
}

document.addEventListener("visibilitychange", () => wanted && refresh());
listen();
