#!lua name=beacon1

-- The rooms of all nodes, as functions of Redis. Each runs alone, so what it finds stays so until it
-- is done; what it decides it tells the nodes concerned, each on its own channel, in the order of the
-- decisions. Keys that begin with `beacon:`:
--
--   nodes          sorted set   node -> Unix milliseconds at which its lease ends
--   pulse          string       when any node was heard last
--   issuer         string       the key that all nodes sign edges by, or empty
--   rooms          set          names of rooms with somebody in them
--   members:NODE   set          the 64 digits of a peer and the name of its room, one after the other
--   room:NAME      hash         broadcast, publisher, epoch, origin, since, about, path, thumbnail, ordered, counts
--   at:NAME        hash         peer -> "node connection since"
--   hint:NAME      hash         peer -> what others are told of it, as JSON
--   rank:NAME      sorted set   peer -> preference as a parent, the best lowest
--   parts:NAME     hash         node -> peers of the room that are there
--   banned:NAME    set          short ids
--   muted:NAME     set          short ids of those that are told to nobody
--   told:NAME      hash         peer -> what it told last of its links and counters, as JSON
--   events:NAME, samples:NAME   lists of JSON

-- Milliseconds without a beat after which a node is dead and its peers are gone.
local LEASE = 10000
-- When nobody was heard for this long, it was Redis that was away, and nobody is dead.
local SILENCE = 5000
-- Peers of a dead node that are taken out at once: other functions wait meanwhile.
local SWEEP = 500
-- Rooms up to this size are told of leavers, as with one node.
local TOLD_MAX = 64
local BANNED_MAX = 1024
local EVENTS_MAX = 100
-- Ten minutes of eight nodes.
local SAMPLES_MAX = 960
-- Hints that a node is given to choose from: the best, and others at random.
local BEST = 30
local PEERS_SHOWN_MAX = 300

local function key(kind, of)
  return 'beacon:' .. kind .. ':' .. of
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function seconds()
  return redis.call('TIME')[1]
end

local function whole(number)
  return string.format('%.0f', number)
end

local function tell(node, word)
  redis.call('PUBLISH', key('node', node), word)
end

local function tell_room(name, word)
  for _, node in ipairs(redis.call('HKEYS', key('parts', name))) do
    tell(node, word)
  end
end

-- A word for nodes about a room; `rest` are further members of the JSON object.
local function about(word, name, rest)
  return '{"word":"' .. word .. '","name":' .. cjson.encode(name) .. rest .. '}'
end

local function find(name, peer)
  local at = redis.call('HGET', key('at', name), peer)
  if not at then return nil end
  return string.match(at, '^(%S+) (%S+) (%S+)$')
end

local function happened(name, kind, short, count)
  local room = key('room', name)
  redis.call('HINCRBY', room, 'count:' .. kind, count)
  local id = redis.call('HINCRBY', room, 'events', 1)
  local event = '{"id":' .. whole(id) .. ',"at":' .. seconds() .. ',"kind":"' .. kind .. '","peer":"'
    .. short .. '","count":' .. count .. '}'
  redis.call('RPUSH', key('events', name), event)
  redis.call('LTRIM', key('events', name), -EVENTS_MAX, -1)
end

local function has_left(name, short)
  local left = '"kind":"left","peer":"' .. short .. '"'
  for _, event in ipairs(redis.call('LRANGE', key('events', name), 0, -1)) do
    if string.find(event, left, 1, true) then return true end
  end
  return false
end

local function part_with(name, peer, node)
  redis.call('SREM', key('members', node), peer .. name)
  if redis.call('HINCRBY', key('parts', name), node, -1) <= 0 then
    redis.call('HDEL', key('parts', name), node)
  end
end

local function remove(name, peer, node)
  part_with(name, peer, node)
  redis.call('HDEL', key('at', name), peer)
  redis.call('HDEL', key('hint', name), peer)
  redis.call('HDEL', key('told', name), peer)
  redis.call('ZREM', key('rank', name), peer)
  local size = redis.call('ZCARD', key('rank', name))
  if size == 0 then
    for _, kind in ipairs({'room', 'at', 'hint', 'rank', 'parts', 'banned', 'muted', 'told', 'events', 'samples'}) do
      redis.call('DEL', key(kind, name))
    end
    redis.call('SREM', 'beacon:rooms', name)
    return
  end
  local origin = redis.call('HGET', key('room', name), 'origin') == peer
  if origin then redis.call('HDEL', key('room', name), 'origin') end
  happened(name, origin and 'ended' or 'left', string.sub(peer, 1, 8), 1)
  if size <= TOLD_MAX then
    tell_room(name, about('gone', name, ',"peer":"' .. peer .. '"'))
  end
end

-- Those of `peers` that others may be told of: the origin, and who is not muted.
local function named(name, peers)
  local muted = key('muted', name)
  if redis.call('EXISTS', muted) == 0 then return peers end
  local origin = redis.call('HGET', key('room', name), 'origin')
  local left = {}
  for _, peer in ipairs(peers) do
    if peer == origin or redis.call('SISMEMBER', muted, string.sub(peer, 1, 8)) == 0 then
      table.insert(left, peer)
    end
  end
  return left
end

-- Whom a node may tell its peers of.
local function pool(name, others)
  local rank = key('rank', name)
  local size = redis.call('ZCARD', rank)
  local function hints(ranked)
    local peers = named(name, ranked)
    if #peers == 0 then return '[]' end
    return '[' .. table.concat(redis.call('HMGET', key('hint', name), unpack(peers)), ',') .. ']'
  end
  local best = redis.call('ZRANGE', rank, 0, BEST - 1)
  local drawn = {}
  if size > BEST then drawn = redis.call('ZRANDMEMBER', rank, others) end
  return '{"size":' .. size .. ',"best":' .. hints(best) .. ',"others":' .. hints(drawn) .. '}'
end

local function refused(name, peer, publish, publisher, epoch)
  if not publish then
    local banned = redis.call('SISMEMBER', key('banned', name), string.sub(peer, 1, 8))
    return banned == 1 and 'banned' or nil
  end
  local room = key('room', name)
  local origin = redis.call('HGET', room, 'origin')
  if not origin then return nil end
  if origin ~= publisher then return 'name-taken' end
  if tonumber(epoch) < tonumber(redis.call('HGET', room, 'epoch')) then return 'stale-epoch' end
end

local function publish_as(name, peer, broadcast, publisher, epoch)
  local room = key('room', name)
  local before, origin, owner = unpack(redis.call('HMGET', room, 'broadcast', 'origin', 'publisher'))
  if owner ~= publisher then
    -- What another owner ordered is no longer meant.
    redis.call('DEL', key('banned', name), key('muted', name))
    redis.call('HDEL', room, 'ordered')
  end
  if not origin or before ~= broadcast then
    redis.call('HSET', room, 'since', seconds())
    happened(name, 'live', string.sub(peer, 1, 8), 1)
  end
  redis.call('HSET', room, 'broadcast', broadcast, 'publisher', publisher, 'epoch', epoch, 'origin', peer)
  return before ~= broadcast
end

-- Lets a peer in, and returns 'in' or why not. With `again` a node brings in anew what it has after
-- Redis was out of reach: there, whoever came to another node meanwhile is the newer.
local function join(_, given)
  local name, peer, node, connection, broadcast, publisher, epoch, hint, preference, rooms_max,
    peers_max, again = unpack(given)
  local publish = broadcast ~= ''
  again = again ~= ''
  local room = key('room', name)
  local other, older = find(name, peer)
  local same = other == node and older == connection
  if again and other and not same then return 'replaced' end
  if not again and not other then
    local open = redis.call('SISMEMBER', 'beacon:rooms', name) == 1
    if not open and redis.call('SCARD', 'beacon:rooms') >= tonumber(rooms_max) then return 'rooms-full' end
    if redis.call('ZCARD', key('rank', name)) >= tonumber(peers_max) then return 'room-full' end
  end
  local why = refused(name, peer, publish, publisher, epoch)
  if why then return why end

  redis.call('SADD', 'beacon:rooms', name)
  local changed = false
  if publish then
    changed = publish_as(name, peer, broadcast, publisher, epoch)
    -- An origin that comes back says again what it said before.
    if not same then redis.call('HDEL', room, 'about', 'path', 'thumbnail') end
  elseif redis.call('HGET', room, 'origin') == peer then
    redis.call('HDEL', room, 'origin')
  end
  redis.call('HSET', key('hint', name), peer, hint)
  redis.call('ZADD', key('rank', name), preference, peer)
  if same then
    local now = redis.call('HGET', room, 'broadcast')
    if now then tell(node, about('run', name, ',"broadcast":' .. now .. ',"origin":"' .. peer .. '"')) end
    return 'in'
  end

  if other then
    part_with(name, peer, other)
    tell(other, about('replaced', name, ',"peer":"' .. peer .. '","connection":' .. older))
  end
  redis.call('SADD', key('members', node), peer .. name)
  redis.call('HINCRBY', key('parts', name), node, 1)
  redis.call('HSET', key('at', name), peer, node .. ' ' .. connection .. ' ' .. whole(clock()))
  local short = string.sub(peer, 1, 8)
  if not publish then
    happened(name, (other or has_left(name, short)) and 'returned' or 'joined', short, 1)
  end
  if changed then
    tell_room(name, about('run', name, ',"broadcast":' .. broadcast .. ',"origin":"' .. peer .. '"'))
  end
  local size = redis.call('ZCARD', key('rank', name))
  local muted = #named(name, {peer}) == 0
  if not muted then tell_room(name, about('came', name, ',"hint":' .. hint .. ',"size":' .. size)) end
  local now = redis.call('HGET', room, 'broadcast') or 'null'
  tell(node, about('in', name, ',"connection":' .. connection .. ',"muted":' .. tostring(muted)
    .. ',"broadcast":' .. now .. ',"pool":' .. pool(name, 20)))
  return 'in'
end

-- Takes a peer out, unless a newer connection has its place.
local function leave(_, given)
  local name, peer, node, connection = unpack(given)
  local other, older = find(name, peer)
  if other == node and older == connection then remove(name, peer, node) end
  return 'done'
end

-- Carries a word to the node where a peer is.
local function carry(_, given)
  local name, peer, word = unpack(given)
  local node = find(name, peer)
  if node then tell(node, word) end
  return 'done'
end

-- What peers of a node say of themselves: five arguments of each, `told` may be empty.
local function report(_, given)
  local name, node = given[1], given[2]
  for at = 3, #given, 5 do
    local peer, connection, hint, preference, told = unpack(given, at, at + 4)
    local other, older = find(name, peer)
    if other == node and older == connection then
      redis.call('HSET', key('hint', name), peer, hint)
      redis.call('ZADD', key('rank', name), preference, peer)
      if told ~= '' then redis.call('HSET', key('told', name), peer, told) end
    end
  end
  return 'done'
end

local function note(_, given)
  local name, kind, short, count = unpack(given)
  if redis.call('SISMEMBER', 'beacon:rooms', name) == 1 then happened(name, kind, short, count) end
  return 'done'
end

local function sample(_, given)
  local name, json = unpack(given)
  if redis.call('SISMEMBER', 'beacon:rooms', name) == 1 then
    redis.call('RPUSH', key('samples', name), json)
    redis.call('LTRIM', key('samples', name), -SAMPLES_MAX, -1)
  end
  return 'done'
end

-- What the origin says of the broadcast.
local function list(_, given)
  local name, peer, node, connection, words, path, thumbnail = unpack(given)
  local room = key('room', name)
  local other, older = find(name, peer)
  local origin = redis.call('HGET', room, 'origin') == peer
  if origin and other == node and older == connection then
    redis.call('HSET', room, 'about', words)
    if path == '' then
      redis.call('HDEL', room, 'path', 'thumbnail')
    else
      redis.call('HSET', room, 'path', path, 'thumbnail', thumbnail)
    end
  end
  return 'done'
end

local function hints(_, given)
  local name, node = unpack(given)
  tell(node, about('pool', name, ',"pool":' .. pool(name, 64)))
  return 'done'
end

-- Peers of a room that a short id means; the origin cannot be meant.
local function meant(name, short, origin)
  local found = {}
  for _, peer in ipairs(redis.call('HKEYS', key('at', name))) do
    if string.sub(peer, 1, 8) == short and peer ~= origin then table.insert(found, peer) end
  end
  return found
end

local function ban(name, short, origin)
  if redis.call('SCARD', key('banned', name)) >= BANNED_MAX then return 'full' end
  redis.call('SADD', key('banned', name), short)
  local peers = meant(name, short, origin)
  for at, peer in ipairs(peers) do
    -- Nobody is told of it while it goes.
    redis.call('ZREM', key('rank', name), peer)
    peers[at] = '"' .. peer .. '"'
  end
  tell_room(name, about('banned', name, ',"peer":"' .. short .. '","peers":[' .. table.concat(peers, ',') .. ']'))
end

local function mute(name, short, origin, on)
  local muted = key('muted', name)
  if on and redis.call('SCARD', muted) >= BANNED_MAX then return 'full' end
  local changed = redis.call(on and 'SADD' or 'SREM', muted, short) == 1
  if changed then
    for _, peer in ipairs(meant(name, short, origin)) do redis.call('HDEL', key('told', name), peer) end
    tell_room(name, about('muted', name, ',"peer":"' .. short .. '","on":' .. tostring(on)))
  end
end

-- Does what the owner orders, whose signature the node has seen to.
local function obey(_, given)
  local name, publisher, epoch, at_ms, action, short = unpack(given)
  local room = key('room', name)
  local origin, owner, run, ordered = unpack(redis.call('HMGET', room, 'origin', 'publisher', 'epoch', 'ordered'))
  if not origin then return 'nowhere' end
  if owner ~= publisher or run ~= epoch then return 'not-owner' end
  if tonumber(at_ms) <= tonumber(ordered or '0') then return 'stale' end
  local why = nil
  if action == 'ban' then
    why = ban(name, short, origin)
  elseif action == 'pardon' then
    redis.call('SREM', key('banned', name), short)
  elseif action == 'mute' or action == 'unmute' then
    why = mute(name, short, origin, action == 'mute')
  else
    redis.call('HDEL', room, 'origin')
    happened(name, 'ended', string.sub(origin, 1, 8), 1)
    tell_room(name, about('ended', name, ''))
  end
  if why then return why end
  redis.call('HSET', room, 'ordered', at_ms)
  return 'done'
end

local function streams()
  local found = {}
  for _, name in ipairs(redis.call('SMEMBERS', 'beacon:rooms')) do
    local facts = redis.call('HMGET', key('room', name), 'origin', 'broadcast', 'since', 'about', 'path')
    if facts[1] then
      local viewers = redis.call('ZCARD', key('rank', name)) - 1
      table.insert(found, {name, facts[2], viewers, facts[3], facts[4] or '{}', facts[5] or ''})
    end
  end
  return found
end

-- How a mesh does, of an unknown room all empty: facts of the room, its size, peers as {peer, since, hint, told}, events, samples.
local function mesh(_, given)
  local name = given[1]
  local facts = redis.call('HMGET', key('room', name), 'broadcast', 'origin', 'since', 'about', 'count:joined',
    'count:left', 'count:returned', 'count:missed', 'count:stalled', 'count:moved')
  for at, fact in ipairs(facts) do facts[at] = fact or '' end
  local peers = {}
  local function show(peer)
    local _, _, since = find(name, peer)
    local hint = redis.call('HGET', key('hint', name), peer)
    local told = redis.call('HGET', key('told', name), peer) or ''
    if since and hint then table.insert(peers, {peer, since, hint, told}) end
  end
  -- The origin first, wherever it ranks.
  if facts[2] ~= '' then show(facts[2]) end
  for _, peer in ipairs(redis.call('ZRANGE', key('rank', name), 0, PEERS_SHOWN_MAX - 1)) do
    if peer ~= facts[2] and #peers < PEERS_SHOWN_MAX then show(peer) end
  end
  return {
    facts,
    redis.call('ZCARD', key('rank', name)),
    peers,
    redis.call('LRANGE', key('events', name), 0, -1),
    redis.call('LRANGE', key('samples', name), 0, -1),
    whole(clock()),
  }
end

-- Notes that somebody was heard. After a silence of all, everybody gets a new lease.
local function pulse(now)
  local heard = tonumber(redis.call('GET', 'beacon:pulse') or '0')
  redis.call('SET', 'beacon:pulse', whole(now))
  if now - heard > SILENCE then
    for _, node in ipairs(redis.call('ZRANGE', 'beacon:nodes', 0, -1)) do
      redis.call('ZADD', 'beacon:nodes', whole(now + LEASE), node)
    end
  end
end

-- A node comes, or comes back: {'welcome', its members as they are known here}, or {'issuer', the other key}.
local function hello(_, given)
  local node, issuer = unpack(given)
  local now = clock()
  pulse(now)
  redis.call('ZREM', 'beacon:nodes', node)
  if redis.call('ZCOUNT', 'beacon:nodes', whole(now), '+inf') == 0 then
    redis.call('SET', 'beacon:issuer', issuer)
  elseif redis.call('GET', 'beacon:issuer') ~= issuer then
    return {'issuer', redis.call('GET', 'beacon:issuer') or ''}
  end
  redis.call('ZADD', 'beacon:nodes', whole(now + LEASE), node)
  local members = {}
  for _, member in ipairs(redis.call('SMEMBERS', key('members', node))) do
    local peer, name = string.sub(member, 1, 64), string.sub(member, 65)
    local _, connection = find(name, peer)
    table.insert(members, {name, peer, connection or ''})
  end
  return {'welcome', members}
end

-- A node lives: {'on' or 'unknown', nodes, members of dead nodes that are still to be taken out}.
local function beat(_, given)
  local node = given[1]
  local now = clock()
  pulse(now)
  if not redis.call('ZSCORE', 'beacon:nodes', node) then return {'unknown', 0, 0} end
  redis.call('ZADD', 'beacon:nodes', whole(now + LEASE), node)
  tell(node, '{"word":"beat"}')
  local left = 0
  local dead = redis.call('ZRANGEBYSCORE', 'beacon:nodes', '-inf', whole(now), 'LIMIT', 0, 1)[1]
  if dead then
    for _, member in ipairs(redis.call('SPOP', key('members', dead), SWEEP)) do
      local peer, name = string.sub(member, 1, 64), string.sub(member, 65)
      if find(name, peer) == dead then remove(name, peer, dead) end
    end
    left = redis.call('SCARD', key('members', dead))
    if left == 0 then redis.call('ZREM', 'beacon:nodes', dead) end
  end
  return {'on', redis.call('ZCARD', 'beacon:nodes'), left}
end

-- A node stops. What it could not take out itself is swept.
local function bye(_, given)
  local now = clock()
  if redis.call('ZSCORE', 'beacon:nodes', given[1]) then
    redis.call('ZADD', 'beacon:nodes', whole(now - 1), given[1])
  end
  return 'done'
end

redis.register_function('beacon1_join', join)
redis.register_function('beacon1_leave', leave)
redis.register_function('beacon1_carry', carry)
redis.register_function('beacon1_report', report)
redis.register_function('beacon1_note', note)
redis.register_function('beacon1_sample', sample)
redis.register_function('beacon1_list', list)
redis.register_function('beacon1_hints', hints)
redis.register_function('beacon1_obey', obey)
redis.register_function('beacon1_streams', streams)
redis.register_function('beacon1_mesh', mesh)
redis.register_function('beacon1_hello', hello)
redis.register_function('beacon1_beat', beat)
redis.register_function('beacon1_bye', bye)
