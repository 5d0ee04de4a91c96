// Each message wakes a fresh instance; `ce-subject` is the channel.
export default {
  async fetch(event) {
    const channel = event.headers.get("ce-subject");
    const message = await event.text();
    console.log(`${channel}: ${message}`);
    return new Response(`${channel}: ${message}\n`);
  },
};
