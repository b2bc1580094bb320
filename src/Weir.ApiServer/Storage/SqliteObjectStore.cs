using System.Collections.Immutable;
using System.Threading.Channels;
using Microsoft.Data.Sqlite;

namespace Weir.ApiServer.Storage;

/// <summary>
/// The default store: all objects in memory for reading, every write committed to SQLite (WAL) before it is acknowledged. One
/// loop owns the database; it takes whatever writes are waiting as one transaction (group commit).
/// </summary>
public sealed class SqliteObjectStore : IObjectStore
{
    const int MaximumBatch = 256;
    const int MaximumPending = 4096;

    /// <summary>How many changes a watcher may lag before it has to list again.</summary>
    const int HistoryLength = 16384;

    sealed record Write(string Key, byte[]? Value, long ExpectedRevision, TaskCompletionSource<StoreResult> Done);

    /// <summary>Objects by kind, then by key: a list of one kind costs nothing for the others.</summary>
    sealed record State(long Revision, ImmutableDictionary<string, ImmutableSortedDictionary<string, StoredObject>> Kinds)
    {
        public StoredObject? Get(string key) => Kinds.GetValueOrDefault(KindOf(key))?.GetValueOrDefault(key);
    }

    static readonly ImmutableSortedDictionary<string, StoredObject> NoObjects =
        ImmutableSortedDictionary.Create<string, StoredObject>(StringComparer.Ordinal);

    readonly SqliteConnection database;
    readonly Channel<Write> writes = Channel.CreateBounded<Write>(new BoundedChannelOptions(MaximumPending) { SingleReader = true });
    readonly Task loop;
    readonly Lock watchLock = new();
    readonly List<StoreWatch> watches = [];
    readonly Queue<StoreEvent> history = [];
    long oldestRemembered;
    volatile State state;

    SqliteObjectStore(SqliteConnection database, State state)
    {
        this.database = database;
        this.state = state;
        oldestRemembered = state.Revision;
        loop = Task.Factory.StartNew(RunAsync, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();
    }

    public static SqliteObjectStore Open(string path)
    {
        SQLitePCL.Batteries_V2.Init();
        if (!File.Exists(path))
        {
            // Secrets are in it. SQLite gives its journals the mode of the database.
            new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }).Dispose();
        }

        var database = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
        database.Open();
        // NORMAL hands each commit to the operating system: it survives the death of this process, which is what is promised.
        Execute(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
        Execute(database, "CREATE TABLE IF NOT EXISTS objects(key TEXT PRIMARY KEY, revision INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;");
        Execute(database, "CREATE TABLE IF NOT EXISTS store(id INTEGER PRIMARY KEY CHECK(id=1), revision INTEGER NOT NULL);");
        Execute(database, "INSERT OR IGNORE INTO store VALUES(1, 1);");
        return new SqliteObjectStore(database, Load(database));
    }

    public long Revision => state.Revision;

    public StoredObject? Get(string key) => state.Get(key);

    public StoredList List(string prefix)
    {
        var now = state;
        var kind = now.Kinds.GetValueOrDefault(KindOf(prefix));
        return new StoredList(now.Revision,
            kind is null ? [] : [.. kind.Where(p => p.Key.StartsWith(prefix, StringComparison.Ordinal)).Select(p => p.Value)]);
    }

    public async ValueTask<StoreResult> WriteAsync(string key, byte[]? value, long expectedRevision, CancellationToken cancel)
    {
        var write = new Write(key, value, expectedRevision, new(TaskCreationOptions.RunContinuationsAsynchronously));
        await writes.Writer.WriteAsync(write, cancel);
        return await write.Done.Task;
    }

    public StoreWatch? Watch(string prefix, long afterRevision)
    {
        lock (watchLock)
        {
            if (afterRevision < oldestRemembered)
            {
                return null;
            }

            var watch = new StoreWatch(prefix, Remove);
            foreach (var change in history)
            {
                if (change.Revision > afterRevision && change.Key.StartsWith(prefix, StringComparison.Ordinal))
                {
                    watch.Offer(change);
                }
            }

            watches.Add(watch);
            return watch;
        }
    }

    public async ValueTask DisposeAsync()
    {
        writes.Writer.TryComplete();
        await loop;
        lock (watchLock)
        {
            watches.ForEach(w => w.Close());
        }

        await database.DisposeAsync();
    }

    async Task RunAsync()
    {
        var batch = new List<Write>();
        while (await writes.Reader.WaitToReadAsync())
        {
            batch.Clear();
            while (batch.Count < MaximumBatch && writes.Reader.TryRead(out var write))
            {
                batch.Add(write);
            }

            try
            {
                Commit(batch);
            }
            catch (SqliteException e)
            {
                // Nothing of the batch is visible; the callers decide.
                batch.ForEach(w => w.Done.TrySetException(new IOException($"the store could not be written: {e.Message}", e)));
            }
        }
    }

    void Commit(List<Write> batch)
    {
        var kinds = state.Kinds.ToBuilder();
        var revision = state.Revision;
        var changes = new List<StoreEvent>();
        var results = new List<(Write Write, StoreResult Result)>();
        using (var transaction = database.BeginTransaction())
        {
            foreach (var write in batch)
            {
                var kind = KindOf(write.Key);
                var objects = kinds.GetValueOrDefault(kind) ?? NoObjects;
                objects.TryGetValue(write.Key, out var before);
                if ((before?.Revision ?? 0) != write.ExpectedRevision || (before is null && write.Value is null))
                {
                    results.Add((write, new StoreResult(true, before)));
                    continue;
                }

                revision++;
                var now = write.Value is null ? null : new StoredObject(write.Key, write.Value, revision);
                Save(transaction, write, revision);
                kinds[kind] = now is null ? objects.Remove(write.Key) : objects.SetItem(write.Key, now);
                changes.Add(new StoreEvent(revision, write.Key, now, before));
                results.Add((write, new StoreResult(false, now ?? new StoredObject(write.Key, before!.Value, revision))));
            }

            if (changes.Count > 0)
            {
                using var command = Command("UPDATE store SET revision=$r", transaction, ("$r", revision));
                command.ExecuteNonQuery();
            }

            transaction.Commit();
        }

        Publish(new State(revision, kinds.ToImmutable()), changes);
        results.ForEach(r => r.Write.Done.TrySetResult(r.Result));
    }

    void Publish(State next, List<StoreEvent> changes)
    {
        // Under the lock, so that a new watcher sees each change either in the history or in its queue, never in both or neither.
        lock (watchLock)
        {
            state = next;
            foreach (var change in changes)
            {
                history.Enqueue(change);
                foreach (var watch in watches)
                {
                    if (change.Key.StartsWith(watch.Prefix, StringComparison.Ordinal))
                    {
                        watch.Offer(change);
                    }
                }
            }

            while (history.Count > HistoryLength)
            {
                oldestRemembered = history.Dequeue().Revision;
            }
        }
    }

    void Save(SqliteTransaction transaction, Write write, long revision)
    {
        using var command = write.Value is null
            ? Command("DELETE FROM objects WHERE key=$k", transaction, ("$k", write.Key))
            : Command("INSERT OR REPLACE INTO objects(key, revision, value) VALUES($k, $r, $v)", transaction,
                ("$k", write.Key), ("$r", revision), ("$v", write.Value));
        command.ExecuteNonQuery();
    }

    SqliteCommand Command(string sql, SqliteTransaction? transaction, params (string Name, object Value)[] parameters)
    {
        var command = database.CreateCommand();
        command.CommandText = sql;
        command.Transaction = transaction;
        foreach (var (name, value) in parameters)
        {
            command.Parameters.AddWithValue(name, value);
        }

        return command;
    }

    void Remove(StoreWatch watch)
    {
        lock (watchLock)
        {
            watches.Remove(watch);
        }
    }

    /// <summary>The leading <c>/group/plural/</c> of a key or prefix.</summary>
    static string KindOf(string key)
    {
        var end = key.IndexOf('/', key.IndexOf('/', 1) + 1);
        return key[..(end + 1)];
    }

    static State Load(SqliteConnection database)
    {
        var kinds = ImmutableDictionary.CreateBuilder<string, ImmutableSortedDictionary<string, StoredObject>>();
        using var command = database.CreateCommand();
        command.CommandText = "SELECT key, revision, value FROM objects";
        using (var reader = command.ExecuteReader())
        {
            while (reader.Read())
            {
                var key = reader.GetString(0);
                kinds[KindOf(key)] = (kinds.GetValueOrDefault(KindOf(key)) ?? NoObjects)
                    .Add(key, new StoredObject(key, (byte[])reader.GetValue(2), reader.GetInt64(1)));
            }
        }

        command.CommandText = "SELECT revision FROM store";
        return new State((long)command.ExecuteScalar()!, kinds.ToImmutable());
    }

    static void Execute(SqliteConnection database, string sql)
    {
        using var command = database.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
