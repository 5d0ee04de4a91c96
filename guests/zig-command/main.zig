//! A CGI program in Zig: answers with its arguments, its variables and its input.

const std = @import("std");

pub fn main(init: std.process.Init) !void {
    var out_buffer: [4096]u8 = undefined;
    var writer = std.Io.File.stdout().writerStreaming(init.io, &out_buffer);
    const out = &writer.interface;
    var in_buffer: [64 * 1024]u8 = undefined;
    var reader = std.Io.File.stdin().readerStreaming(init.io, &in_buffer);

    // An event: its data, and who had it.
    if (init.environ_map.get("CE_ID") != null) {
        try out.writeAll("zig(");
        _ = try reader.interface.streamRemaining(out);
        try out.writeAll(")");
        return out.flush();
    }

    try out.writeAll("Status: 200 OK\nContent-Type: text/plain\n\n");

    const arguments = try init.minimal.args.toSlice(init.arena.allocator());
    for (arguments, 0..) |argument, number| {
        try out.print("arg {d} {s}\n", .{ number, argument });
    }
    var variables = init.environ_map.iterator();
    while (variables.next()) |entry| {
        try out.print("{s}={s}\n", .{ entry.key_ptr.*, entry.value_ptr.* });
    }

    try out.writeAll("input\n");
    _ = try reader.interface.streamRemaining(out);
    try out.flush();
}
