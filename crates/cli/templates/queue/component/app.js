// Each message wakes a fresh instance. What answers 2xx has handled it; what fails is tried again.
export default {
  async fetch(event) {
    const job = await event.text();
    if (!job) return new Response("no job\n", { status: 400 });
    console.log(`did ${job}`);
    return new Response(`did ${job}\n`);
  },
};
